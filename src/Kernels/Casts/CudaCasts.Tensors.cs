using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Kernels.Cuda;
using static TorchSharp.torch;

namespace Titan.Kernels.Casts;

/// <content>Largest magnitudes and casts of whole tensors, by a scale that is given or found.</content>
public sealed partial class CudaCasts
{
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
}
