using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Quantization.Linear;
using Titan.Quantization.Scaling;
using static TorchSharp.torch;

namespace Titan.Quantization.Statistics;

/// <summary>What a cast did to its operand.</summary>
/// <param name="Amax">The largest magnitude before the cast.</param>
/// <param name="Scale">The scales; null for a plugin's own cast, which does not show them.</param>
/// <param name="Saturated">Part of the elements that were clamped: whose scaled magnitude is above the format's largest value, by more than a scale's own rounding. Null as above.</param>
/// <param name="Underflowed">Part of the elements that are not zero and became zero.</param>
/// <param name="Sqnr">Signal to quantisation noise of the cast in dB; infinite where it lost nothing.</param>
public sealed record CastStatistics(double Amax, ScaleRange? Scale, double? Saturated, double Underflowed, double Sqnr)
{
    // max / amax is rounded to fp32, so the largest element may end up an ulp above max: that is no saturation.
    private const double Slack = 1e-6;

    /// <summary>The statistics by name, as they are logged.</summary>
    public IEnumerable<(string Name, double Value)> Named()
    {
        yield return ("amax", Amax);
        if (Scale is { Count: 1 } one) yield return ("scale", one.Median);
        if (Scale is { Count: > 1 } many)
        {
            yield return ("scale_min", many.Min);
            yield return ("scale_median", many.Median);
            yield return ("scale_max", many.Max);
        }

        if (Saturated is { } saturated) yield return ("saturated", saturated);
        yield return ("underflowed", Underflowed);
        yield return ("sqnr", Sqnr);
    }

    /// <summary>Compares an operand before and after its cast.</summary>
    /// <param name="x">[R, C] in high precision.</param>
    /// <param name="operand">Its cast; one that was filled up to whole blocks may be larger.</param>
    internal static CastStatistics Of(Tensor x, Operand operand)
    {
        using var scope = NewDisposeScope();
        using var none = no_grad();
        if (x.numel() == 0) return new CastStatistics(0, null, null, 0, double.PositiveInfinity);
        var wide = x.to(ScalarType.Float32);
        var amax = (double)wide.abs().max().item<float>();
        var values = operand.Quantized is { } q ? Like(x, q.Dequantize()) : operand.Plain!.to(ScalarType.Float32);
        // Whether an element is zero is asked of the float8 element: its value may be too small for fp32.
        var zero = (operand.Quantized is { } c ? Like(x, c.Data.to(ScalarType.Float32)) : values) == 0;
        var underflowed = Part(zero & (wide != 0));
        return new CastStatistics(amax, operand.Quantized is { } s ? Range(Factors(s)) : null, operand.Quantized is { } t ? SaturatedPart(wide, t) : null, underflowed, Ratio(wide, values, amax));
    }

    private static double SaturatedPart(Tensor wide, QuantizedTensor q)
    {
        var scale = Factors(q);
        if (q.HasBlocks)
        {
            var (rows, columns) = (q.Data.Sizes()[0] / scale.Sizes()[0], q.Data.Sizes()[1] / scale.Sizes()[1]);
            scale = scale.repeat_interleave(rows, 0).repeat_interleave(columns, 1);
        }
        else if (q.Tile is { } tile) scale = TileCast.Expand(scale, tile, q.Data.shape);
        if (q.ScalesInside) scale = Like(wide, scale);
        return Part((wide * scale).abs() > q.Format.Max * (1 + Slack));
    }

    /// <summary>fp32 factors. An e8m0 byte b says value = element * 2^(b - 127); 255 is NaN.</summary>
    private static Tensor Factors(QuantizedTensor q)
    {
        if (!q.HasBlocks) return q.Scale;
        var bytes = AtenGateway.ViewDtype(q.Scale.contiguous(), ScalarType.Byte).to(ScalarType.Float32);
        return where(bytes == 255, full_like(bytes, double.NaN), exp2(127 - bytes));
    }

    private static ScaleRange Range(Tensor scale)
    {
        var sorted = scale.flatten().sort().Values;
        var n = sorted.numel();
        return new ScaleRange(sorted[0].item<float>(), sorted[n / 2].item<float>(), sorted[n - 1].item<float>(), n);
    }

    /// <summary>Both are brought to a largest value of 1 first: squares of tiny gradients would leave fp32.</summary>
    private static double Ratio(Tensor wide, Tensor values, double amax)
    {
        if (amax == 0) return double.PositiveInfinity;
        if (!double.IsFinite(amax)) return double.NaN;
        using var noise = (wide - values) / (float)amax;
        using var signal = wide / (float)amax;
        return 10 * Math.Log10(Energy(signal) / Energy(noise));
    }

    private static double Energy(Tensor x)
    {
        using var squares = x * x;
        return squares.sum(ScalarType.Float64).item<double>();
    }

    private static double Part(Tensor mask) => mask.sum().item<long>() / (double)mask.numel();

    /// <summary>Without what fills up the last block.</summary>
    private static Tensor Like(Tensor x, Tensor filled) => filled.narrow(0, 0, x.Sizes()[0]).narrow(1, 0, x.Sizes()[1]);
}
