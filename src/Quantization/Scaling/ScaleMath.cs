using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Quantization.Scaling;

/// <summary>From amax to scale, to the bit as torchao computes it. Scales are multiplicative: float8 = round(value * scale).</summary>
public static class ScaleMath
{
    /// <summary>Keeps the scale of an all-zero tensor finite; a double, as upstream's.</summary>
    public const double Epsilon = 1e-12;

    /// <summary>max / amax, the division in double and the result in fp32: then eager and fused code agree to the bit.</summary>
    /// <param name="amax">Any shape, floating point. Infinity gives scale 0 (so 0 · inf = NaN reaches the output), NaN stays NaN.</param>
    /// <param name="format">The format whose largest value amax is mapped to.</param>
    /// <param name="rounding"><see cref="ScaleRounding.None"/> or <see cref="ScaleRounding.PowerOfTwo"/>.</param>
    /// <returns>fp32, amax's shape.</returns>
    public static Tensor FromAmax(Tensor amax, Float8Format format, ScaleRounding rounding)
    {
        using var scope = NewDisposeScope();
        var max = tensor(format.Max, dtype: ScalarType.Float64, device: amax.device);
        var scale = (max / amax.to(ScalarType.Float64).clamp(min: Epsilon)).to(ScalarType.Float32);
        return (rounding switch
        {
            ScaleRounding.None => scale,
            ScaleRounding.PowerOfTwo => RoundDownToPowerOfTwo(scale),
            _ => throw new TitanException(ExitCode.Plugin, $"scale rounding {rounding} belongs to block scales, not to a scale per tensor or row"),
        }).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// exp2(floor(log2(scale))) in fp32. Just below a power of two log2 rounds up, so the result may be one binade higher; that is upstream's behaviour and is kept.
    /// </summary>
    public static Tensor RoundDownToPowerOfTwo(Tensor scale)
    {
        using var scope = NewDisposeScope();
        return exp2(scale.log2().floor()).MoveToOuterDisposeScope();
    }
}
