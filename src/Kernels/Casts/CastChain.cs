using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Kernels.Casts;

/// <summary>
/// The casts of <see cref="ICastKernels"/> that make their own scales, as chains of its single steps: what an implementation does that has nothing faster, and the oracle of those that have.
/// </summary>
internal static class CastChain
{
    public static ScaledCast WithOneScale(ICastKernels kernels, Tensor x, Tensor? amaxParts, CastTarget target, OperandLayout layout)
    {
        using var scope = NewDisposeScope();
        return Scaled(kernels, x, amaxParts is null ? kernels.Amax(x) : ScaleMath.AmaxOf(amaxParts), target, layout).MoveToOuterDisposeScope();
    }

    public static ScaledCast Along(ICastKernels kernels, Tensor x, int dimension, CastTarget target, OperandLayout layout)
    {
        using var scope = NewDisposeScope();
        return Scaled(kernels, x, kernels.AmaxAlong(x, dimension), target, layout).MoveToOuterDisposeScope();
    }

    public static BlockCast Blocks(ICastKernels kernels, Tensor x, int dimension, int length, CastTarget target, bool swizzled)
    {
        using var scope = NewDisposeScope();
        var (data, scale) = kernels.CastBlocks(ZeroFill.ToMultiple(x, dimension, length), dimension, length, target.Format, target.Rounding);
        return new BlockCast(data, scale, swizzled ? ScaleSwizzle.ToBlocked(dimension == 1 ? scale : scale.t()) : null).MoveToOuterDisposeScope();
    }

    public static ScaledCast Groups(ICastKernels kernels, Tensor x, RowGroups groups, CastTarget target, OperandLayout layout)
    {
        using var scope = NewDisposeScope();
        groups.Check(x.shape[0]);
        var data = zeros(x.shape, dtype: target.Format.Type, device: x.device);
        var scale = empty([groups.Count, x.shape[1]], dtype: ScalarType.Float32, device: x.device);
        for (var e = 0; e < groups.Count; e++)
        {
            using var step = NewDisposeScope();
            var (begin, length) = groups[e];
            var own = x.narrow(0, begin, length);
            var scales = ScaleMath.FromAmax(kernels.AmaxAlong(own, 0), target.Format, target.Rounding);
            scale.narrow(0, e, 1).copy_(scales);
            data.narrow(0, begin, length).copy_(kernels.Cast(own, scales, target.Format));
        }

        return new ScaledCast(
            layout == OperandLayout.Columns ? null : data, layout == OperandLayout.Rows ? null : data.t().contiguous(), scale, scale.reciprocal()).MoveToOuterDisposeScope();
    }

    private static ScaledCast Scaled(ICastKernels kernels, Tensor x, Tensor amax, CastTarget target, OperandLayout layout)
    {
        var scale = ScaleMath.FromAmax(amax, target.Format, target.Rounding);
        var (data, transposed) = Cast(kernels, x, scale, target.Format, layout);
        return new ScaledCast(data, transposed, scale, scale.reciprocal());
    }

    private static (Tensor? Data, Tensor? Transposed) Cast(ICastKernels kernels, Tensor x, Tensor scale, Float8Format format, OperandLayout layout)
    {
        if (layout == OperandLayout.Rows) return (kernels.Cast(x, scale, format), null);
        if (kernels is ITransposingCastKernels transposing)
            return layout == OperandLayout.Both ? transposing.CastBoth(x, scale, format) : (null, transposing.CastTransposed(x, scale, format));
        var data = kernels.Cast(x, scale, format);
        return (layout == OperandLayout.Both ? data : null, data.t().contiguous());
    }
}
