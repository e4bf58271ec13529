namespace Titan.Kernels.Tests.Casts;

/// <summary>
/// Float8 as its specification defines it (OFP8): every code has a value, and rounding picks the nearest value, the even code on a tie. By search over the values,
/// without any arithmetic on bits, so that it shares nothing with the kernels.
/// </summary>
internal sealed class Float8Oracle
{
    private readonly double[] magnitudes;
    private readonly int exponentBits, bias;

    private Float8Oracle(int exponentBits, int bias, int finiteCodes)
    {
        (this.exponentBits, this.bias) = (exponentBits, bias);
        magnitudes = [.. Enumerable.Range(0, finiteCodes).Select(Magnitude)];
    }

    public static Float8Oracle E4M3 { get; } = new(4, 7, 0x7f);

    public static Float8Oracle E5M2 { get; } = new(5, 15, 0x7c);

    public double Max => magnitudes[^1];

    /// <summary>The value of a code: a number, an infinity (e5m2 alone) or NaN.</summary>
    public double Decode(byte code)
    {
        var magnitude = code & 0x7f;
        var value = magnitude < magnitudes.Length ? magnitudes[magnitude]
            : exponentBits == 5 && magnitude == 0x7c ? double.PositiveInfinity : double.NaN;
        return code >= 0x80 ? -value : value;
    }

    /// <summary>clamp(x * scale) to the nearest value; the product in fp32, as specified. Null for NaN.</summary>
    public byte? Encode(float x, float scale)
    {
        var scaled = x * scale;
        if (float.IsNaN(scaled)) return null;
        var magnitude = Math.Min(Math.Abs((double)scaled), Max);
        var at = Array.BinarySearch(magnitudes, magnitude);
        if (at < 0)
        {
            var above = ~at;
            double down = magnitude - magnitudes[above - 1], up = magnitudes[above] - magnitude;
            at = down < up || (down == up && (above - 1) % 2 == 0) ? above - 1 : above;
        }

        return (byte)(at | (float.IsNegative(scaled) ? 0x80 : 0));
    }

    private double Magnitude(int code)
    {
        var mantissaBits = 7 - exponentBits;
        int exponent = code >> mantissaBits, mantissa = code & ((1 << mantissaBits) - 1);
        return exponent == 0
            ? mantissa * Math.Pow(2, 1 - bias - mantissaBits)
            : (1 + mantissa / (double)(1 << mantissaBits)) * Math.Pow(2, exponent - bias);
    }
}
