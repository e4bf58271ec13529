using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Kernels.Casts;
using static TorchSharp.torch;

namespace Titan.Kernels.Cuda;

/// <summary>
/// The casts of float8 and MX recipes on CUDA, one or two passes each, nothing waiting for the device. Bytes and scales equal those of the plain ATen chain.
/// Methods named as those of <see cref="ICastKernels"/> mean the same.
/// </summary>
public sealed class CudaCasts
{
    // As in tile.cuh, loads.cuh, amax_columns.cu and cast_rows.cu.
    private const long TileSide = 128;
    private const int Loads = 4, ColumnLoads = 8, KeptElements = 32, MostThreads = 512;

    private readonly IKernelLauncher launcher;

    internal CudaCasts(IKernelLauncher launcher) => this.launcher = launcher;

    /// <summary>Name for reports.</summary>
    public string Name => "cuda";

    /// <summary>The kernels on this machine's GPUs.</summary>
    /// <exception cref="TitanException">There is no NVIDIA driver or no libnvrtc.</exception>
    public static CudaCasts Create() => new(CudaKernels.Launcher);

    /// <summary>The largest magnitude in x: 0-d fp32. NaN if x holds one.</summary>
    /// <param name="x">[...] fp32 or bf16.</param>
    public Tensor Amax(Tensor x)
    {
        using var scope = NewDisposeScope();
        CheckDevice(x, "amax");
        if (x.numel() == 0) return zeros([], dtype: ScalarType.Float32, device: x.device).MoveToOuterDisposeScope();
        var parts = AmaxParts(x);
        var amax = New([], ScalarType.Float32, x);
        launcher.Launch("amax_tensor", "amax_finish", x.device, new LaunchGrid(1, 1, LaunchGrid.Threads, 1), parts, parts.numel(), amax);
        return amax.MoveToOuterDisposeScope();
    }

    /// <inheritdoc cref="ICastKernels.AmaxParts" />
    public Tensor AmaxParts(Tensor x)
    {
        using var scope = NewDisposeScope();
        var (source, type) = Input(x, "amax");
        if (x.numel() == 0) return zeros([1], dtype: ScalarType.Float32, device: x.device).MoveToOuterDisposeScope();
        var grid = Flat(x, Lanes(x) * Loads);
        var parts = New([grid.X], ScalarType.Float32, x);
        launcher.Launch("amax_tensor", $"amax_parts_{type}", x.device, grid, source, x.numel(), parts);
        return parts.MoveToOuterDisposeScope();
    }

    /// <summary>The largest magnitude of each row: x [R, C] to [R, 1] fp32.</summary>
    public Tensor AmaxRows(Tensor x)
    {
        using var scope = NewDisposeScope();
        var (source, type) = Matrix(x, "amax of rows");
        var (rows, columns) = (x.Sizes()[0], x.Sizes()[1]);
        var amax = New([rows, 1], ScalarType.Float32, x);
        const int rowsPerBlock = (int)LaunchGrid.Threads / 32;
        if (rows > 0)
            launcher.Launch("amax_rows", $"amax_rows_{type}", x.device, LaunchGrid.Line(rows, rowsPerBlock, launcher.BlocksToFill(x.device)), source, rows, columns, amax);
        return amax.MoveToOuterDisposeScope();
    }

    /// <summary>The largest magnitude of each column: x [R, C] to [1, C] fp32.</summary>
    public Tensor AmaxColumns(Tensor x)
    {
        using var scope = NewDisposeScope();
        var (source, type) = Matrix(x, "amax of columns");
        var (rows, columns) = (x.Sizes()[0], x.Sizes()[1]);
        var amax = New([1, columns], ScalarType.Float32, x);
        if (columns == 0) return amax.MoveToOuterDisposeScope();
        if (rows == 0) return amax.zero_().MoveToOuterDisposeScope();
        Finish(ColumnParts(source, type), type, new CastTarget(Float8Format.E4M3, ScaleRounding.None), amax, null, null);
        return amax.MoveToOuterDisposeScope();
    }

    /// <summary>fp32(max / max(amax, 1e-12)), the division in double, on the device.</summary>
    /// <param name="amax">fp32, any shape.</param>
    /// <param name="format">Whose largest value amax is mapped to.</param>
    /// <param name="rounding"><see cref="ScaleRounding.None"/> or <see cref="ScaleRounding.PowerOfTwo"/>.</param>
    /// <returns>amax's shape.</returns>
    public Tensor ScaleFromAmax(Tensor amax, Float8Format format, ScaleRounding rounding = ScaleRounding.None)
    {
        var power = PowerOfTwo(rounding);
        using var scope = NewDisposeScope();
        var (source, type) = Input(amax, "scale");
        if (type != "f32") throw new ArgumentException($"scale: amax is {amax.dtype}; expected fp32");
        _ = Name8(format);
        var scale = New(amax.Sizes(), ScalarType.Float32, amax);
        if (amax.numel() > 0)
            launcher.Launch(
                "scale_from_amax", "scale_from_amax", amax.device, LaunchGrid.Line(amax.numel(), LaunchGrid.Threads, launcher.BlocksToFill(amax.device)),
                source, amax.numel(), (float)format.Max, ScaleOfZero(format), power, scale, KernelArgument.Of(null));
        return scale.MoveToOuterDisposeScope();
    }

    /// <summary>round(clamp(x * scale)) to float8, nearest even. NaN stays NaN.</summary>
    /// <param name="x">[...] fp32 or bf16.</param>
    /// <param name="scale">One fp32; or, for x [R, C], [R, 1] or [1, C].</param>
    /// <param name="format">The element format.</param>
    /// <returns>Contiguous, x's shape.</returns>
    public Tensor Cast(Tensor x, Tensor scale, Float8Format format)
    {
        using var scope = NewDisposeScope();
        var (source, type) = Input(x, "cast");
        var result = New(x.Sizes(), format.Type, x);
        var (factor, rowStep, columnStep) = Steps(x, scale);
        var one = rowStep + columnStep == 0;
        var (rows, columns) = one ? (1, x.numel()) : (x.Sizes()[0], x.Sizes()[1]);
        if (x.numel() > 0)
            launcher.Launch(
                "cast_rowmajor", $"cast_rowmajor_{type}_{Name8(format)}", x.device, one ? Flat(x, Lanes(x) * Loads) : Rows(x, Lanes(x)),
                source, factor, rowStep, columnStep, rows, columns, result);
        return result.MoveToOuterDisposeScope();
    }

    /// <summary>As <see cref="Cast"/>, written transposed: x [R, C] to contiguous [C, R].</summary>
    public Tensor CastTransposed(Tensor x, Tensor scale, Float8Format format) => Transpose(x, scale, format, both: false).Transposed;

    /// <summary>As <see cref="Cast"/>, both ways in one pass: x [R, C] to [R, C] and contiguous [C, R].</summary>
    public (Tensor Data, Tensor Transposed) CastBoth(Tensor x, Tensor scale, Float8Format format)
    {
        var (data, transposed) = Transpose(x, scale, format, both: true);
        return (data!, transposed);
    }

    /// <inheritdoc cref="ICastKernels.CastTensor" />
    /// <remarks>x has elements. One launch, or two where the parts have to be found.</remarks>
    public ScaledCast CastTensor(Tensor x, Tensor? amaxParts, CastTarget target, OperandLayout layout = OperandLayout.Rows)
    {
        var power = PowerOfTwo(target.Rounding);
        using var scope = NewDisposeScope();
        var (source, type) = Matrix(x, "cast");
        if (amaxParts is not null && (amaxParts.dtype != ScalarType.Float32 || amaxParts.numel() == 0 || amaxParts.device_type != x.device_type))
            throw new ArgumentException(
                $"cast: amax parts {amaxParts.dtype} [{string.Join(", ", amaxParts.shape)}] on {amaxParts.device}; expected at least one fp32 magnitude on {x.device}");
        var found = amaxParts is null ? AmaxParts(source) : null;
        var parts = found ?? amaxParts!.contiguous();
        Tensor scale = New([], ScalarType.Float32, x), inverse = New([], ScalarType.Float32, x);
        var data = layout == OperandLayout.Columns ? null : New(x.Sizes(), target.Format.Type, x);
        var transposed = layout == OperandLayout.Rows ? null : New([x.Sizes()[1], x.Sizes()[0]], target.Format.Type, x);
        if (transposed is null)
            launcher.Launch(
                "cast_tensor", $"cast_tensor_{type}_{Name8(target.Format)}", x.device, Flat(x, Lanes(x) * Loads),
                source, parts, parts.numel(), power, x.numel(), data!, scale, inverse);
        else
            launcher.Launch(
                "cast_tensor", $"cast_tensor_transposed_{type}_{Name8(target.Format)}", x.device, Tiles(x, 4),
                source, parts, parts.numel(), power, x.Sizes()[0], x.Sizes()[1], KernelArgument.Of(data), transposed, scale, inverse);
        return new ScaledCast(data, transposed, scale, inverse, found).MoveToOuterDisposeScope();
    }

    /// <inheritdoc cref="ICastKernels.CastRows" />
    /// <remarks>x has elements. One launch; rows of up to 16384 elements are read once.</remarks>
    public ScaledCast CastRows(Tensor x, CastTarget target)
    {
        using var scope = NewDisposeScope();
        var (source, type) = Matrix(x, "cast per row");
        return CastRows(source, type, target, null).MoveToOuterDisposeScope();
    }

    /// <inheritdoc cref="ICastKernels.CastColumns" />
    /// <remarks>x has elements. Two launches that read x, a small one in between.</remarks>
    public ScaledCast CastColumns(Tensor x, CastTarget target, OperandLayout layout = OperandLayout.Columns)
    {
        PowerOfTwo(target.Rounding);
        using var scope = NewDisposeScope();
        var (source, type) = Matrix(x, "cast per column");
        return CastColumns(source, type, ColumnParts(source, type), target, layout).MoveToOuterDisposeScope();
    }

    /// <inheritdoc cref="ICastKernels.CastRowsAndColumns" />
    /// <remarks>x has elements. Two launches that read x, a small one in between; three where a row has more than 16384 elements.</remarks>
    public (ScaledCast Rows, ScaledCast Columns) CastRowsAndColumns(Tensor x, CastTarget rows, CastTarget columns, OperandLayout columnLayout = OperandLayout.Columns)
    {
        PowerOfTwo(columns.Rounding);
        using var scope = NewDisposeScope();
        var (source, type) = Matrix(x, "cast per row and column");
        var partial = x.Sizes()[1] > KeptElements * MostThreads ? null : New([RowGrid(x, columns: true).X, x.Sizes()[1]], x.dtype, x);
        var along = CastRows(source, type, rows, partial);
        var across = CastColumns(source, type, partial ?? ColumnParts(source, type), columns, columnLayout);
        return (along.MoveToOuterDisposeScope(), across.MoveToOuterDisposeScope());
    }

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

    /// <summary>The exact bf16 values of float8 elements.</summary>
    public Tensor Decode(Tensor x) => Decode(x, ScalarType.BFloat16);

    /// <summary>The exact values of float8 elements in bf16 or fp32.</summary>
    public Tensor Decode(Tensor x, ScalarType type)
    {
        using var scope = NewDisposeScope();
        var format = Source8(x, "decode");
        var to = Target(type, "decode");
        var result = New(x.Sizes(), type, x);
        if (x.numel() > 0)
            launcher.Launch(
                "decode", $"decode_{format}_{to}", x.device, Flat(x, Lanes(result) * 8),
                x.contiguous(), x.numel(), result);
        return result.MoveToOuterDisposeScope();
    }

    /// <summary>The values of elements in blocks: element * 2^(byte - 127), exact but for magnitudes that <paramref name="type"/> cannot hold.</summary>
    /// <param name="x">[R, C] float8.</param>
    /// <param name="scales">e8m0 [R / H, C / W], for blocks of H x W elements.</param>
    /// <param name="type">bf16 or fp32.</param>
    public Tensor DecodeBlocks(Tensor x, Tensor scales, ScalarType type)
    {
        using var scope = NewDisposeScope();
        var format = Source8(x, "decode of blocks");
        var to = Target(type, "decode of blocks");
        if (x.dim() != 2) throw new ArgumentException($"decode of blocks: x has {x.dim()} dimensions; expected [R, C]");
        var result = New(x.Sizes(), type, x);
        if (x.numel() == 0) return result.MoveToOuterDisposeScope();
        long rows = x.Sizes()[0], columns = x.Sizes()[1];
        if (scales.dtype != Float8Format.E8M0.Type || scales.device_type != x.device_type || scales.dim() != 2 || scales.numel() == 0
            || rows % scales.Sizes()[0] != 0 || columns % scales.Sizes()[1] != 0)
            throw new ArgumentException(
                $"decode of blocks: scales {scales.dtype} [{string.Join(", ", scales.shape)}] on {scales.device} do not divide x [{rows}, {columns}] on {x.device} into blocks; expected e8m0");
        launcher.Launch(
            "decode_blocks", $"decode_blocks_{format}_{to}", x.device, Rows(x, Lanes(result), 8),
            x.contiguous(), scales.contiguous(), rows / scales.Sizes()[0], columns / scales.Sizes()[1], rows, columns, result);
        return result.MoveToOuterDisposeScope();
    }

    /// <summary>product * (left * right) in fp32, rounded once.</summary>
    /// <param name="product">[R, C] fp32 or bf16; overwritten where it is contiguous and of the result's dtype.</param>
    /// <param name="left">fp32: one, or [R, 1].</param>
    /// <param name="right">fp32: one, or [1, C].</param>
    /// <param name="type">bf16 or fp32.</param>
    public Tensor Rescale(Tensor product, Tensor left, Tensor right, ScalarType type)
    {
        using var scope = NewDisposeScope();
        var (source, from) = Matrix(product, "rescale");
        var to = Target(type, "rescale");
        long rows = product.Sizes()[0], columns = product.Sizes()[1];
        var a = Factors(left, [rows, 1], product);
        var b = Factors(right, [1, columns], product);
        var result = product.dtype == type && product.is_contiguous() ? product.alias() : New(product.Sizes(), type, product);
        if (product.numel() > 0)
            launcher.Launch(
                "rescale", $"rescale_{from}_{to}", product.device, Rows(product, Math.Min(Lanes(product), Lanes(result))),
                source, a.Values, a.Step, b.Values, b.Step, rows, columns, result);
        return result.MoveToOuterDisposeScope();
    }

    private static (Tensor Values, long Step) Factors(Tensor x, long[] each, Tensor product)
    {
        if (x.dtype != ScalarType.Float32 || x.device_type != product.device_type)
            throw new ArgumentException($"rescale: a factor is {x.dtype} on {x.device}; expected fp32 on {product.device}");
        if (x.numel() == 1) return (x, 0);
        if (x.Sizes().SequenceEqual(each)) return (x.contiguous(), 1);
        throw new ArgumentException($"rescale: factors [{string.Join(", ", x.shape)}] do not fit product [{string.Join(", ", product.shape)}]; expected one, or [{string.Join(", ", each)}]");
    }

    private (Tensor? Data, Tensor Transposed) Transpose(Tensor x, Tensor scale, Float8Format format, bool both)
    {
        using var scope = NewDisposeScope();
        var (source, type) = Matrix(x, "cast transposed");
        var (rows, columns) = (x.Sizes()[0], x.Sizes()[1]);
        var data = both ? New([rows, columns], format.Type, x) : null;
        var transposed = New([columns, rows], format.Type, x);
        var (factor, rowStep, columnStep) = Steps(x, scale);
        if (x.numel() > 0)
            launcher.Launch(
                "cast_transposed", $"cast_transposed_{type}_{Name8(format)}", x.device, Tiles(x, 4),
                source, factor, rowStep, columnStep, rows, columns, KernelArgument.Of(data), transposed);
        return (data?.MoveToOuterDisposeScope(), transposed.MoveToOuterDisposeScope());
    }

    private ScaledCast CastRows(Tensor x, string type, CastTarget target, Tensor? partial)
    {
        var power = PowerOfTwo(target.Rounding);
        long rows = x.Sizes()[0], columns = x.Sizes()[1];
        var grid = RowGrid(x, partial is not null);
        Tensor data = New([rows, columns], target.Format.Type, x), parts = New([grid.X], ScalarType.Float32, x);
        Tensor scale = New([rows, 1], ScalarType.Float32, x), inverse = New([rows, 1], ScalarType.Float32, x);
        if (partial is null)
            launcher.Launch("cast_rows", $"cast_rows_{type}_{Name8(target.Format)}", x.device, grid, x, rows, columns, power, data, scale, inverse, parts);
        else
            launcher.Launch("cast_rows", $"cast_rows_columns_{type}_{Name8(target.Format)}", x.device, grid, x, rows, columns, power, data, scale, inverse, parts, partial);
        return new ScaledCast(data, null, scale, inverse, parts);
    }

    private ScaledCast CastColumns(Tensor x, string type, Tensor partial, CastTarget target, OperandLayout layout)
    {
        Tensor scale = New([1, x.Sizes()[1]], ScalarType.Float32, x), inverse = New([1, x.Sizes()[1]], ScalarType.Float32, x);
        Finish(partial, type, target, null, scale, inverse);
        if (layout == OperandLayout.Rows) return new ScaledCast(Cast(x, scale, target.Format), null, scale, inverse);
        var (data, transposed) = Transpose(x, scale, target.Format, layout == OperandLayout.Both);
        return new ScaledCast(data, transposed, scale, inverse);
    }

    /// <summary>The largest magnitudes of columns over shares of the rows: [P, C] in x's dtype.</summary>
    private Tensor ColumnParts(Tensor x, string type)
    {
        // Half of what else fills a device: with eight pieces of each thread under way it is enough, and leaves half as many rows of partial maxima.
        var grid = LaunchGrid.Matrix(Packs(x, Lanes(x)), x.Sizes()[0], ColumnLoads, Math.Max(launcher.BlocksToFill(x.device) / 2, 1), rowsOfBlock: 32);
        var partial = New([grid.Y, x.Sizes()[1]], x.dtype, x);
        launcher.Launch("amax_columns", $"amax_columns_partial_{type}", x.device, grid, x, x.Sizes()[0], x.Sizes()[1], partial);
        return partial;
    }

    /// <summary>Joins <see cref="ColumnParts"/> to amaxes or scales.</summary>
    private void Finish(Tensor partial, string type, CastTarget target, Tensor? amax, Tensor? scale, Tensor? inverse)
    {
        const uint across = 4, down = LaunchGrid.Threads / across;
        var grid = LaunchGrid.Line(Packs(partial, Lanes(partial)), across, launcher.BlocksToFill(partial.device)) with { BlockX = across, BlockY = down };
        launcher.Launch(
            "amax_columns", $"amax_columns_finish_{type}", partial.device, grid, partial, partial.Sizes()[0], partial.Sizes()[1], (float)target.Format.Max, ScaleOfZero(target.Format),
            PowerOfTwo(target.Rounding), KernelArgument.Of(amax), KernelArgument.Of(scale), KernelArgument.Of(inverse));
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

    /// <summary>For kernels that take tiles, so many blocks of them to a multiprocessor where the next tile of bf16 comes into shared memory.</summary>
    private LaunchGrid Tiles(Tensor x, int blocks)
    {
        var tiles = (x.Sizes()[0] + TileSide - 1) / TileSide * ((x.Sizes()[1] + TileSide - 1) / TileSide);
        long fill = launcher.BlocksToFill(x.device), staged = x.element_size() * TileSide * TileSide;
        return x.dtype == ScalarType.BFloat16 ? LaunchGrid.Line(tiles, 1, Math.Max(fill * blocks / 8, 1)) with { Shared = (uint)staged } : LaunchGrid.Line(tiles, 1, fill);
    }

    /// <summary>For kernels that take the elements as they come, so many to a thread at a time.</summary>
    private LaunchGrid Flat(Tensor x, long each) => LaunchGrid.Line(x.numel(), LaunchGrid.Threads * each, launcher.BlocksToFill(x.device));

    /// <summary>For kernels whose threads keep to their columns, so many to each, and take so many rows at once.</summary>
    private LaunchGrid Rows(Tensor x, long each, int rows = Loads) => LaunchGrid.Matrix(Packs(x, each), x.Sizes()[0], rows, launcher.BlocksToFill(x.device));

    /// <summary>For kernels that keep a row in the registers of some warps while the next one comes into shared memory.</summary>
    private LaunchGrid RowGrid(Tensor x, bool columns)
    {
        var across = 32u;
        while (across < MostThreads && across * KeptElements < x.Sizes()[1]) across *= 2;
        var down = Math.Max(LaunchGrid.Threads / across, 1);
        // As many as run at once: their registers leave room for 768 threads, or for 512. Amaxes of columns are left behind by every block: rows enough that these stay small beside what was read.
        long fill = launcher.BlocksToFill(x.device) * LaunchGrid.Threads / (across * down), rows = columns ? Math.Max(16, down) : down;
        return LaunchGrid.Line(x.Sizes()[0], rows, Math.Max(columns || across == MostThreads ? fill / 4 : fill * 3 / 8, 1))
            with { BlockX = across, BlockY = down, Shared = (uint)(across * down * KeptElements * x.element_size()) };
    }

    private static long Packs(Tensor x, long each) => (x.Sizes()[1] + each - 1) / each;

    private static (Tensor Scale, long RowStep, long ColumnStep) Steps(Tensor x, Tensor scale)
    {
        if (scale.dtype != ScalarType.Float32 || scale.device_type != x.device_type)
            throw new ArgumentException($"cast: the scale is {scale.dtype} on {scale.device}; expected fp32 on {x.device}");
        if (scale.numel() == 1) return (scale, 0, 0);
        ReadOnlySpan<long> s = scale.Sizes(), d = x.Sizes();
        if (s.Length == 2 && d.Length == 2 && s[0] == d[0] && s[1] == 1) return (scale.contiguous(), 1, 0);
        if (s.Length == 2 && d.Length == 2 && s[0] == 1 && s[1] == d[1]) return (scale.contiguous(), 0, 1);
        throw new ArgumentException($"cast: scale [{string.Join(", ", s.ToArray())}] does not fit x [{string.Join(", ", d.ToArray())}]; expected one scale, [R, 1] or [1, C]");
    }

    private static Tensor Scales(long rows, long blocks, Tensor x) => New([rows, blocks], Float8Format.E8M0.Type, x);

    /// <param name="rows">Rows of scales.</param>
    /// <param name="blocks">Scales in a row.</param>
    /// <param name="x">Where they lie.</param>
    /// <param name="whole">Whether the kernel writes every byte.</param>
    private static Tensor Swizzled(long rows, long blocks, Tensor x, bool whole)
    {
        var size = ScaleSwizzle.Size(rows, blocks);
        return Aten.AtenGateway.ViewDtype(whole ? New([size], ScalarType.Byte, x) : zeros([size], dtype: ScalarType.Byte, device: x.device), Float8Format.E8M0.Type);
    }

    private static float ScaleOfZero(Float8Format format) => ScaleMath.FromAmax(0f, format, ScaleRounding.None);

    private static int PowerOfTwo(ScaleRounding rounding)
    {
        ScaleMath.CheckRounding(rounding);
        return rounding == ScaleRounding.PowerOfTwo ? 1 : 0;
    }

    private static int Mode(ScaleRounding rounding) => rounding switch
    {
        ScaleRounding.Floor => 0,
        ScaleRounding.RoundUp => 1,
        ScaleRounding.Ceil => 2,
        ScaleRounding.Even => 3,
        _ => throw new TitanException(ExitCode.Plugin, $"scale rounding {rounding} belongs to a scale per tensor or row; a block needs Floor, RoundUp, Ceil or Even"),
    };

    private string Source8(Tensor x, string what)
    {
        CheckDevice(x, what);
        return x.dtype == Float8Format.E4M3.Type ? "e4m3" : x.dtype == Float8Format.E5M2.Type ? "e5m2"
            : throw new ArgumentException($"{what}: x is {x.dtype}; expected float8 e4m3 or e5m2");
    }

    private static string Target(ScalarType type, string what) => type switch
    {
        ScalarType.BFloat16 => "bf16",
        ScalarType.Float32 => "f32",
        _ => throw new ArgumentException($"{what}: cannot write {type}; expected bf16 or fp32"),
    };

    private static string Name8(Float8Format format) =>
        format == Float8Format.E4M3 || format == Float8Format.E5M2 ? format.Name : throw new ArgumentException($"{format} is a format of scales; expected e4m3 or e5m2");

    private (Tensor Source, string Type) Matrix(Tensor x, string what) =>
        x.dim() == 2 ? Input(x, what) : throw new ArgumentException($"{what}: x has {x.dim()} dimensions; expected [R, C]");

    private (Tensor Source, string Type) Input(Tensor x, string what)
    {
        CheckDevice(x, what);
        return (x.contiguous(), KernelTypes.Name(x, what));
    }

    private void CheckDevice(Tensor x, string what)
    {
        if (x.device_type != launcher.Device) throw new ArgumentException($"{what}: x lies on {x.device}; expected a {launcher.Device} tensor");
    }

    private static long Lanes(Tensor x) => 16 / x.element_size();

    private static Tensor New(ReadOnlySpan<long> shape, ScalarType type, Tensor like) => empty(shape, dtype: type, device: like.device);
}
