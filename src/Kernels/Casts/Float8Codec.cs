using Titan.Abstractions;

namespace Titan.Kernels.Casts;

/// <summary>
/// A float8 format as fp32 bit patterns, which is the form in which the kernels compute. Each is a type of its own, so that the compiled loops hold these numbers as constants.
/// </summary>
internal interface IFloat8Codec
{
    /// <summary>The largest finite value.</summary>
    static abstract uint Max { get; }

    /// <summary>The smallest normal value.</summary>
    static abstract uint SmallestNormal { get; }

    /// <summary>The power of two whose last place is the format's smallest step: adding it lets the FPU round subnormals.</summary>
    static abstract uint Denormal { get; }

    /// <summary>The smallest step itself, as a number.</summary>
    static abstract float Step { get; }

    /// <summary>fp32 mantissa bits that the format does not have.</summary>
    static abstract int Shift { get; }

    /// <summary>The difference of the exponent biases, in the exponent field.</summary>
    static abstract uint Bias { get; }

    /// <summary>The first magnitude code that is no finite number.</summary>
    static abstract uint FirstSpecial { get; }

    /// <summary>The first magnitude code that is NaN.</summary>
    static abstract uint FirstNan { get; }

    /// <summary>The 256 values in bf16.</summary>
    static abstract ushort[] Table { get; }
}

internal readonly struct E4M3Codec : IFloat8Codec
{
    private static readonly ushort[] Values = Float8Decoder.MakeTable<E4M3Codec>();

    public static uint Max => 0x43e00000;

    public static uint SmallestNormal => 0x3c800000;

    public static uint Denormal => 0x46800000;

    public static float Step => 1f / 512;

    public static int Shift => 20;

    public static uint Bias => (127u - 7) << 23;

    public static uint FirstSpecial => 0x7f;

    public static uint FirstNan => 0x7f;

    public static ushort[] Table => Values;
}

internal readonly struct E5M2Codec : IFloat8Codec
{
    private static readonly ushort[] Values = Float8Decoder.MakeTable<E5M2Codec>();

    public static uint Max => 0x47600000;

    public static uint SmallestNormal => 0x38800000;

    public static uint Denormal => 0x43000000;

    public static float Step => 1f / 65536;

    public static int Shift => 21;

    public static uint Bias => (127u - 15) << 23;

    public static uint FirstSpecial => 0x7c;

    public static uint FirstNan => 0x7d;

    public static ushort[] Table => Values;
}
