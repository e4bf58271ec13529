using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Kernels.Cuda;
using static TorchSharp.torch;

namespace Titan.Kernels.Casts;

/// <content>One scale to a block of 32 (MX).</content>
public sealed partial class CudaCasts
{
    /// <summary>MX cast with blocks of 32 along rows.</summary>
    /// <param name="x">[R, C], C a multiple of 32.</param>
    /// <param name="format">The element format.</param>
    /// <param name="rounding">Floor, RoundUp, Ceil or Even.</param>
    /// <param name="swizzled">Scales in the layout of the block-scaled tensor core matmul, flat and padded with zeros, instead of [R, C / 32].</param>
    /// <returns>[R, C] float8 and e8m0 scales.</returns>
    public (Tensor Data, Tensor Scales) MxRows(Tensor x, Float8Format format, ScaleRounding rounding, bool swizzled = false)
    {
        using var scope = NewDisposeScope();
        var (data, plain, blocked) = BlockRows(x, new CastTarget(format, rounding), !swizzled, swizzled);
        return (data.MoveToOuterDisposeScope(), (plain ?? blocked)!.MoveToOuterDisposeScope());
    }

    /// <summary>MX cast with blocks of 32 along columns, written transposed: what <see cref="MxRows"/> makes of the contiguous transpose of x, in one pass.</summary>
    /// <param name="x">[R, C], R a multiple of 32.</param>
    /// <param name="format">The element format.</param>
    /// <param name="rounding">Floor, RoundUp, Ceil or Even.</param>
    /// <param name="swizzled">As in <see cref="MxRows"/>.</param>
    /// <returns>[C, R] float8 and e8m0 scales [C, R / 32] (or flat).</returns>
    public (Tensor Transposed, Tensor Scales) MxColumns(Tensor x, Float8Format format, ScaleRounding rounding, bool swizzled = false)
    {
        if (x.dim() == 2 && x.Sizes()[0] % 32 != 0) throw new ArgumentException($"MX cast along columns: {x.Sizes()[0]} rows; expected a multiple of 32");
        using var scope = NewDisposeScope();
        var (columns, _) = BlockTiles(x, new CastTarget(format, rounding), null, !swizzled, swizzled);
        return (columns.Data.MoveToOuterDisposeScope(), (columns.Plain ?? columns.Swizzled)!.MoveToOuterDisposeScope());
    }

    /// <summary>As <see cref="ICastKernels.CastBlocks(Tensor, int, CastTarget?, CastTarget?, bool)"/> with blocks of 32: both directions in one pass where their formats are the same.</summary>
    /// <remarks>x has elements.</remarks>
    public (BlockCast? Rows, BlockCast? Columns) CastBlocks(Tensor x, CastTarget? rows, CastTarget? columns, bool swizzled = false)
    {
        using var scope = NewDisposeScope();
        if (rows is { } r && columns is { } c && r.Format == c.Format && x.dim() == 2 && x.Sizes()[1] % 32 == 0)
        {
            var (down, along) = BlockTiles(x, c, r, true, swizzled);
            return (Rows(along!.Value), Columns(down));
        }

        return (
            rows is { } one ? Rows(BlockRows(x.dim() == 2 ? ZeroFill.ToMultiple(x, 1, 32) : x, one, true, swizzled)) : null,
            columns is { } other ? Columns(BlockTiles(x, other, null, true, swizzled).Columns) : null);

        static BlockCast Rows((Tensor Data, Tensor? Plain, Tensor? Swizzled) b) => new BlockCast(b.Data, b.Plain!, b.Swizzled).MoveToOuterDisposeScope();

        // Written transposed, which is how the tensor cores want the operands of grad_weight; seen here the right way round.
        static BlockCast Columns((Tensor Data, Tensor? Plain, Tensor? Swizzled) b) => new BlockCast(b.Data.t(), b.Plain!.t(), b.Swizzled).MoveToOuterDisposeScope();
    }

    private (Tensor Data, Tensor? Plain, Tensor? Swizzled) BlockRows(Tensor x, CastTarget target, bool plain, bool swizzled)
    {
        var (source, type) = Matrix(x, "MX cast along rows");
        var (rows, columns) = (x.Sizes()[0], x.Sizes()[1]);
        if (columns % 32 != 0) throw new ArgumentException($"MX cast along rows: {columns} columns; expected a multiple of 32");
        var mode = Mode(target.Rounding);
        var data = New([rows, columns], target.Format.Type, x);
        var scales = plain ? Scales(rows, columns / 32, x) : null;
        // The kernel writes scales that there are, not the zeros that fill the last tiles up.
        var blocked = swizzled ? Swizzled(rows, columns / 32, x, whole: rows % 128 == 0 && columns % 128 == 0) : null;
        if (x.numel() > 0)
            launcher.Launch(
                "mx_dim0", $"mx_dim0_{type}_{Name8(target.Format)}", x.device,
                LaunchGrid.Matrix(Packs(x, Lanes(x)), rows, (int)(32 / Lanes(x)), launcher.BlocksToFill(x.device), least: (uint)(32 / Lanes(x))),
                source, rows, columns, mode, data, KernelArgument.Of(scales), KernelArgument.Of(blocked));
        return (data, scales, blocked);
    }

    /// <summary>Blocks along columns, and with <paramref name="along"/> also along rows.</summary>
    private ((Tensor Data, Tensor? Plain, Tensor? Swizzled) Columns, (Tensor Data, Tensor? Plain, Tensor? Swizzled)? Rows) BlockTiles(
        Tensor x, CastTarget down, CastTarget? along, bool plain, bool swizzled)
    {
        var (source, type) = Matrix(x, "MX cast along columns");
        long rows = x.Sizes()[0], columns = x.Sizes()[1], filled = (rows + 31) / 32 * 32;
        int mode = Mode(down.Rounding), rowMode = along is { } target ? Mode(target.Rounding) : 0;
        // The kernel writes whole tiles of swizzled scales.
        var whole = x.numel() > 0;
        var across = (Data: New([columns, filled], down.Format.Type, x), Plain: plain ? Scales(columns, filled / 32, x) : null, Swizzled: swizzled ? Swizzled(columns, filled / 32, x, whole) : null);
        (Tensor Data, Tensor? Plain, Tensor? Swizzled)? own = along is null ? null
            : (New([rows, columns], down.Format.Type, x), plain ? Scales(rows, columns / 32, x) : null, swizzled ? Swizzled(rows, columns / 32, x, whole) : null);
        if (x.numel() > 0)
            launcher.Launch(
                "mx_dim1", $"mx_dim1_{type}_{Name8(down.Format)}", x.device, Tiles(x, 3), source, rows, columns, mode, across.Data, KernelArgument.Of(across.Plain),
                KernelArgument.Of(across.Swizzled), rowMode, KernelArgument.Of(own?.Data), KernelArgument.Of(own?.Plain), KernelArgument.Of(own?.Swizzled));
        return (across, own);
    }

    private static Tensor Scales(long rows, long blocks, Tensor x) => New([rows, blocks], Float8Format.E8M0.Type, x);

    /// <param name="rows">Rows of scales.</param>
    /// <param name="blocks">Scales in a row.</param>
    /// <param name="x">Where they lie.</param>
    /// <param name="whole">Whether the kernel writes every byte.</param>
    private static Tensor Swizzled(long rows, long blocks, Tensor x, bool whole)
    {
        var size = ScaleSwizzle.Size(rows, blocks);
        return AtenGateway.ViewDtype(whole ? New([size], ScalarType.Byte, x) : zeros([size], dtype: ScalarType.Byte, device: x.device), Float8Format.E8M0.Type);
    }

    private static int Mode(ScaleRounding rounding) => rounding switch
    {
        ScaleRounding.Floor => 0,
        ScaleRounding.RoundUp => 1,
        ScaleRounding.Ceil => 2,
        ScaleRounding.Even => 3,
        _ => throw new TitanException(ExitCode.Plugin, $"scale rounding {rounding} belongs to a scale per tensor or row; a block needs Floor, RoundUp, Ceil or Even"),
    };
}
