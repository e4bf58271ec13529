using Titan.Abstractions;

namespace Titan.Kernels.Casts;

/// <summary>A float8 format as fp32 bit patterns, which is the form in which the kernels compute.</summary>
/// <param name="Max">The largest finite value.</param>
/// <param name="SmallestNormal">The smallest normal value.</param>
/// <param name="Denormal">The power of two whose last place is the format's smallest step: adding it lets the FPU round subnormals.</param>
/// <param name="Step">The smallest step itself, as a number.</param>
/// <param name="Shift">fp32 mantissa bits that the format does not have.</param>
/// <param name="Half">Half a unit in the last place, less one.</param>
/// <param name="Bias">The difference of the exponent biases, in the exponent field.</param>
/// <param name="FirstSpecial">The first magnitude code that is no finite number.</param>
/// <param name="FirstNan">The first magnitude code that is NaN.</param>
internal readonly record struct Float8Codec(
    uint Max, uint SmallestNormal, uint Denormal, float Step, int Shift, uint Half, uint Bias, uint FirstSpecial, uint FirstNan)
{
    public static Float8Codec E4M3 { get; } =
        new(0x43e00000, 0x3c800000, 0x46800000, 1f / 512, 20, 0x7ffff, (127u - 7) << 23, 0x7f, 0x7f);

    public static Float8Codec E5M2 { get; } =
        new(0x47600000, 0x38800000, 0x43000000, 1f / 65536, 21, 0xfffff, (127u - 15) << 23, 0x7c, 0x7d);

    /// <summary>The codec of a format that elements can have, or null (e8m0 is a format of scales).</summary>
    public static Float8Codec? Of(Float8Format format) => format == Float8Format.E4M3 ? E4M3 : format == Float8Format.E5M2 ? E5M2 : null;

    /// <summary>The first magnitude code of a normal number.</summary>
    public uint FirstNormal => 1u << (23 - Shift);
}
