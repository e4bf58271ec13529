using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Kernels.Cuda;

/// <summary>
/// The casts of float8 and MX recipes on CUDA, one or two passes each, nothing waiting for the device. Bytes and scales equal those of the plain ATen chain.
/// Methods named as those of <see cref="Casts.ICastKernels"/> mean the same.
/// </summary>
public sealed class CudaCasts
{
    private const long TileSide = 64;

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
        var (source, type) = Input(x, "amax");
        var amax = New([], ScalarType.Float32, x);
        if (x.numel() == 0) return amax.zero_().MoveToOuterDisposeScope();
        var grid = LaunchGrid.Line(x.numel(), LaunchGrid.Threads * Lanes(x), launcher.BlocksToFill(x.device));
        var partial = New([grid.X], ScalarType.Int32, x);
        launcher.Launch("amax_tensor", $"amax_partial_{type}", x.device, grid, source, x.numel(), partial);
        launcher.Launch("amax_tensor", "amax_finish", x.device, new LaunchGrid(1, 1, LaunchGrid.Threads, 1), partial, (long)grid.X, amax);
        return amax.MoveToOuterDisposeScope();
    }

    /// <summary>The largest magnitude of each row: x [R, C] to [R, 1] fp32.</summary>
    public Tensor AmaxRows(Tensor x)
    {
        using var scope = NewDisposeScope();
        var (source, type) = Matrix(x, "amax of rows");
        var (rows, columns) = (x.shape[0], x.shape[1]);
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
        var (rows, columns) = (x.shape[0], x.shape[1]);
        var amax = New([1, columns], ScalarType.Float32, x);
        if (columns == 0) return amax.MoveToOuterDisposeScope();
        if (rows == 0) return amax.zero_().MoveToOuterDisposeScope();
        var blocks = launcher.BlocksToFill(x.device);
        var grid = LaunchGrid.Partials(columns, LaunchGrid.Threads * Lanes(x), rows, blocks);
        var partial = New([grid.Y, columns], ScalarType.Int32, x);
        launcher.Launch("amax_columns", $"amax_columns_partial_{type}", x.device, grid, source, rows, columns, partial);
        launcher.Launch("amax_columns", "amax_columns_finish", x.device, LaunchGrid.Line(columns, LaunchGrid.Threads, blocks), partial, (long)grid.Y, columns, amax);
        return amax.MoveToOuterDisposeScope();
    }

    /// <summary>fp32(max / max(amax, 1e-12)), the division in double, on the device.</summary>
    /// <param name="amax">fp32, any shape.</param>
    /// <param name="format">Whose largest value amax is mapped to.</param>
    /// <param name="rounding"><see cref="ScaleRounding.None"/> or <see cref="ScaleRounding.PowerOfTwo"/>.</param>
    /// <returns>amax's shape.</returns>
    public Tensor ScaleFromAmax(Tensor amax, Float8Format format, ScaleRounding rounding = ScaleRounding.None)
    {
        if (rounding is not (ScaleRounding.None or ScaleRounding.PowerOfTwo))
            throw new TitanException(ExitCode.Plugin, $"scale rounding {rounding} belongs to block scales, not to a scale per tensor or row");
        using var scope = NewDisposeScope();
        var (source, type) = Input(amax, "scale");
        if (type != "f32") throw new ArgumentException($"scale: amax is {amax.dtype}; expected fp32");
        _ = Name8(format);
        var scale = New(amax.shape, ScalarType.Float32, amax);
        if (amax.numel() > 0)
            launcher.Launch(
                "scale_from_amax", "scale_from_amax", amax.device, LaunchGrid.Line(amax.numel(), LaunchGrid.Threads, launcher.BlocksToFill(amax.device)),
                source, amax.numel(), (float)format.Max, rounding == ScaleRounding.PowerOfTwo ? 1 : 0, scale);
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
        var result = New(x.shape, format.Type, x);
        var (factor, rowStep, columnStep) = Steps(x, scale);
        // One scale: the shape does not matter, and one long row has the fewest ends.
        var (rows, columns) = rowStep + columnStep == 0 ? (1, x.numel()) : (x.shape[0], x.shape[1]);
        if (x.numel() > 0)
            launcher.Launch(
                "cast_rowmajor", $"cast_rowmajor_{type}_{Name8(format)}", x.device,
                LaunchGrid.Plane(columns, LaunchGrid.Threads * Lanes(x), rows, launcher.BlocksToFill(x.device)), source, factor, rowStep, columnStep, rows, columns, result);
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

    /// <summary>MX cast with blocks of 32 along rows.</summary>
    /// <param name="x">[R, C], C a multiple of 32.</param>
    /// <param name="format">The element format.</param>
    /// <param name="rounding">Floor, RoundUp, Ceil or Even.</param>
    /// <param name="swizzled">Scales in the layout of the block-scaled tensor core matmul, flat and padded with zeros, instead of [R, C / 32].</param>
    /// <returns>[R, C] float8 and e8m0 scales.</returns>
    public (Tensor Data, Tensor Scales) MxRows(Tensor x, Float8Format format, ScaleRounding rounding, bool swizzled = false)
    {
        using var scope = NewDisposeScope();
        var (source, type) = Matrix(x, "MX cast along rows");
        var (rows, columns) = (x.shape[0], x.shape[1]);
        if (columns % 32 != 0) throw new ArgumentException($"MX cast along rows: {columns} columns; expected a multiple of 32");
        var data = New([rows, columns], format.Type, x);
        var scales = Scales(rows, columns / 32, swizzled, x);
        if (x.numel() > 0)
            launcher.Launch(
                "mx_dim0", $"mx_dim0_{type}_{Name8(format)}", x.device, LaunchGrid.Line(x.numel(), LaunchGrid.Threads * Lanes(x), launcher.BlocksToFill(x.device)),
                source, rows, columns, Mode(rounding), swizzled ? 1 : 0, data, scales);
        return (data.MoveToOuterDisposeScope(), scales.MoveToOuterDisposeScope());
    }

    /// <summary>MX cast with blocks of 32 along columns, written transposed: what <see cref="MxRows"/> makes of the contiguous transpose of x, in one pass.</summary>
    /// <param name="x">[R, C], R a multiple of 32.</param>
    /// <param name="format">The element format.</param>
    /// <param name="rounding">Floor, RoundUp, Ceil or Even.</param>
    /// <param name="swizzled">As in <see cref="MxRows"/>.</param>
    /// <returns>[C, R] float8 and e8m0 scales [C, R / 32] (or flat).</returns>
    public (Tensor Transposed, Tensor Scales) MxColumns(Tensor x, Float8Format format, ScaleRounding rounding, bool swizzled = false)
    {
        using var scope = NewDisposeScope();
        var (source, type) = Matrix(x, "MX cast along columns");
        var (rows, columns) = (x.shape[0], x.shape[1]);
        if (rows % 32 != 0) throw new ArgumentException($"MX cast along columns: {rows} rows; expected a multiple of 32");
        var data = New([columns, rows], format.Type, x);
        var scales = Scales(columns, rows / 32, swizzled, x);
        if (x.numel() > 0)
            launcher.Launch(
                "mx_dim1", $"mx_dim1_{type}_{Name8(format)}", x.device, Tiles(x), source, rows, columns, Mode(rounding), swizzled ? 1 : 0, data, scales);
        return (data.MoveToOuterDisposeScope(), scales.MoveToOuterDisposeScope());
    }

    /// <summary>The exact bf16 values of float8 elements.</summary>
    public Tensor Decode(Tensor x) => Decode(x, ScalarType.BFloat16);

    /// <summary>The exact values of float8 elements in bf16 or fp32.</summary>
    public Tensor Decode(Tensor x, ScalarType type)
    {
        using var scope = NewDisposeScope();
        var format = Source8(x, "decode");
        var to = Target(type, "decode");
        var result = New(x.shape, type, x);
        if (x.numel() > 0)
            launcher.Launch(
                "decode", $"decode_{format}_{to}", x.device, LaunchGrid.Line(x.numel(), LaunchGrid.Threads * 16, launcher.BlocksToFill(x.device)),
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
        var result = New(x.shape, type, x);
        if (x.numel() == 0) return result.MoveToOuterDisposeScope();
        long rows = x.shape[0], columns = x.shape[1];
        if (scales.dtype != Float8Format.E8M0.Type || scales.device_type != x.device_type || scales.dim() != 2 || scales.numel() == 0
            || rows % scales.shape[0] != 0 || columns % scales.shape[1] != 0)
            throw new ArgumentException(
                $"decode of blocks: scales {scales.dtype} [{string.Join(", ", scales.shape)}] on {scales.device} do not divide x [{rows}, {columns}] on {x.device} into blocks; expected e8m0");
        launcher.Launch(
            "decode_blocks", $"decode_blocks_{format}_{to}", x.device, LaunchGrid.Plane(columns, LaunchGrid.Threads * 16, rows, launcher.BlocksToFill(x.device)),
            x.contiguous(), scales.contiguous(), rows / scales.shape[0], columns / scales.shape[1], rows, columns, result);
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
        long rows = product.shape[0], columns = product.shape[1];
        var a = Factors(left, [rows, 1], product);
        var b = Factors(right, [1, columns], product);
        var result = product.dtype == type && product.is_contiguous() ? product.alias() : New(product.shape, type, product);
        if (product.numel() > 0)
            launcher.Launch(
                "rescale", $"rescale_{from}_{to}", product.device,
                LaunchGrid.Plane(columns, LaunchGrid.Threads * Math.Min(Lanes(product), Lanes(result)), rows, launcher.BlocksToFill(product.device)),
                source, a.Values, a.Step, b.Values, b.Step, rows, columns, result);
        return result.MoveToOuterDisposeScope();
    }

    private static (Tensor Values, long Step) Factors(Tensor x, long[] each, Tensor product)
    {
        if (x.dtype != ScalarType.Float32 || x.device_type != product.device_type)
            throw new ArgumentException($"rescale: a factor is {x.dtype} on {x.device}; expected fp32 on {product.device}");
        if (x.numel() == 1) return (x, 0);
        if (x.shape.AsSpan().SequenceEqual(each)) return (x.contiguous(), 1);
        throw new ArgumentException($"rescale: factors [{string.Join(", ", x.shape)}] do not fit product [{string.Join(", ", product.shape)}]; expected one, or [{string.Join(", ", each)}]");
    }

    private (Tensor? Data, Tensor Transposed) Transpose(Tensor x, Tensor scale, Float8Format format, bool both)
    {
        using var scope = NewDisposeScope();
        var (source, type) = Matrix(x, "cast transposed");
        var (rows, columns) = (x.shape[0], x.shape[1]);
        var data = both ? New([rows, columns], format.Type, x) : null;
        var transposed = New([columns, rows], format.Type, x);
        var (factor, rowStep, columnStep) = Steps(x, scale);
        if (x.numel() > 0)
            launcher.Launch(
                "cast_transposed", $"cast_transposed_{type}_{Name8(format)}", x.device, Tiles(x),
                source, factor, rowStep, columnStep, rows, columns, KernelArgument.Of(data), transposed);
        return (data?.MoveToOuterDisposeScope(), transposed.MoveToOuterDisposeScope());
    }

    private LaunchGrid Tiles(Tensor x) =>
        LaunchGrid.Line((x.shape[0] + TileSide - 1) / TileSide * ((x.shape[1] + TileSide - 1) / TileSide), 1, launcher.BlocksToFill(x.device));

    private static (Tensor Scale, long RowStep, long ColumnStep) Steps(Tensor x, Tensor scale)
    {
        if (scale.dtype != ScalarType.Float32 || scale.device_type != x.device_type)
            throw new ArgumentException($"cast: the scale is {scale.dtype} on {scale.device}; expected fp32 on {x.device}");
        if (scale.numel() == 1) return (scale, 0, 0);
        long[] s = scale.shape, d = x.shape;
        if (s.Length == 2 && d.Length == 2 && s[0] == d[0] && s[1] == 1) return (scale.contiguous(), 1, 0);
        if (s.Length == 2 && d.Length == 2 && s[0] == 1 && s[1] == d[1]) return (scale.contiguous(), 0, 1);
        throw new ArgumentException($"cast: scale [{string.Join(", ", s)}] does not fit x [{string.Join(", ", d)}]; expected one scale, [R, 1] or [1, C]");
    }

    private static Tensor Scales(long rows, long blocks, bool swizzled, Tensor x)
    {
        if (!swizzled) return New([rows, blocks], Float8Format.E8M0.Type, x);
        var bytes = zeros([(rows + 127) / 128 * ((blocks + 3) / 4) * 512], dtype: ScalarType.Byte, device: x.device);
        return Aten.AtenGateway.ViewDtype(bytes, Float8Format.E8M0.Type);
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

    private static Tensor New(long[] shape, ScalarType type, Tensor like) => empty(shape, dtype: type, device: like.device);
}
