using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Kernels.Casts;

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
        CheckRounding(rounding);
        using var scope = NewDisposeScope();
        var max = tensor(format.Max, dtype: ScalarType.Float64, device: amax.device);
        var scale = (max / amax.to(ScalarType.Float64).clamp(min: Epsilon)).to(ScalarType.Float32);
        return (rounding == ScaleRounding.PowerOfTwo ? RoundDownToPowerOfTwo(scale) : scale).MoveToOuterDisposeScope();
    }

    /// <summary>The same for one number, in scalar code.</summary>
    /// <inheritdoc cref="FromAmax(Tensor, Float8Format, ScaleRounding)" />
    public static float FromAmax(float amax, Float8Format format, ScaleRounding rounding)
    {
        CheckRounding(rounding);
        double wide = amax;
        // NaN is not smaller than anything, so it stays.
        var scale = (float)(format.Max / (wide < Epsilon ? Epsilon : wide));
        return rounding == ScaleRounding.PowerOfTwo ? RoundDownToPowerOfTwo(scale) : scale;
    }

    /// <summary>The largest of an amax's parts: 0-d fp32, NaN if one is. What has one element is itself, another handle.</summary>
    /// <param name="parts">fp32, any shape, at least one element: magnitudes whose maximum is the amax.</param>
    public static Tensor AmaxOf(Tensor parts)
    {
        CheckParts(parts);
        return parts.numel() == 1 ? parts.reshape([]) : parts.max();
    }

    /// <summary>The same as a number; for parts in the CPU's memory.</summary>
    /// <inheritdoc cref="AmaxOf" />
    public static float LargestOf(Tensor parts)
    {
        CheckParts(parts);
        if (parts.numel() == 1) return parts.item<float>();
        using var whole = parts.contiguous();
        return whole.data<float>().Aggregate(Magnitude.Larger);
    }

    private static void CheckParts(Tensor parts)
    {
        if (parts.dtype != ScalarType.Float32 || parts.numel() == 0)
            throw new ArgumentException($"amax parts: {parts.dtype} [{string.Join(", ", parts.shape)}]; expected at least one fp32 magnitude");
    }

    /// <summary>Refuses a rounding that makes no fp32 scale.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Plugin"/>: the rounding belongs to block scales.</exception>
    public static void CheckRounding(ScaleRounding rounding)
    {
        if (rounding is not (ScaleRounding.None or ScaleRounding.PowerOfTwo))
            throw new TitanException(ExitCode.Plugin, $"scale rounding {rounding} belongs to block scales, not to a scale per tensor or row");
    }

    /// <summary>
    /// exp2(floor(log2(scale))) in fp32. Just below a power of two log2 rounds up, so the result may be one binade higher; that is upstream's behaviour and is kept.
    /// </summary>
    public static Tensor RoundDownToPowerOfTwo(Tensor scale)
    {
        using var scope = NewDisposeScope();
        return exp2(scale.log2().floor()).MoveToOuterDisposeScope();
    }

    /// <summary>The same for one number. log2 in double, rounded once, is the fp32 chain without depending on the last bit of anyone's fp32 log2.</summary>
    public static float RoundDownToPowerOfTwo(float scale)
    {
        if (!(scale > 0) || float.IsInfinity(scale)) return scale;
        var exponent = (int)MathF.Floor((float)Math.Log2(scale));
        return exponent > 127 ? float.PositiveInfinity : BitConverter.UInt32BitsToSingle(exponent >= -126 ? (uint)(exponent + 127) << 23 : 1u << (exponent + 149));
    }
}
