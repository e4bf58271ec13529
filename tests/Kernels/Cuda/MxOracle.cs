using Titan.Abstractions;

namespace Titan.Kernels.Tests.Cuda;

/// <summary>The scale of an MX block by its definition, in double arithmetic: without any arithmetic on bits, so that it shares nothing with the kernels.</summary>
internal static class MxOracle
{
    /// <summary>The byte e that stands for 2^(e - 127); 255 where the whole block is NaN.</summary>
    public static byte Scale(float amax, Float8Format format, ScaleRounding mode)
    {
        if (!float.IsFinite(amax)) return 255;
        var (exponent, mantissaBits) = format == Float8Format.E4M3 ? (8, 3) : (15, 2);
        if (mode == ScaleRounding.RoundUp)
        {
            // The smallest power of two that is at least amax / max, as a product with the rounded reciprocal.
            var needed = amax * (float)(1 / format.Max);
            for (var e = 0; e < 255; e++)
                if (Math.ScaleB(1.0, e - 127) >= needed) return (byte)e;
            return 255;
        }

        if (amax == 0) return 0;
        var power = Math.ILogB((double)amax);
        if (mode == ScaleRounding.Ceil && amax != Math.ScaleB(1.0, power)) power++;
        if (mode == ScaleRounding.Even)
        {
            // To the format's mantissa, halves up.
            var rounded = Math.Floor(Math.ScaleB(amax, mantissaBits - power) + 0.5);
            if (rounded == 1 << (mantissaBits + 1)) power++;
            if (power > 127) return 255;
        }

        return (byte)Math.Max(power - exponent + 127, 0);
    }

    /// <summary>What the elements are multiplied by.</summary>
    public static float Reciprocal(byte e) => e == 255 ? float.NaN : (float)Math.ScaleB(1.0, 127 - e);
}
