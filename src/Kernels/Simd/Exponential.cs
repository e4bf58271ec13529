using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Titan.Kernels.Simd;

/// <summary>
/// e^x in fp32, within 2 units in the last place: x = n ln 2 + r, e^r by a polynomial of degree 7 (coefficients of Cephes' expf, Moshier 1992), times 2^n. For softmax and sigmoid, so results that
/// would be subnormal are below 2^-126 or 0, and those above e^88.3 stay at that: nothing is spent on ends that these functions do not tell apart. The runtime's own Vector256.Exp computes in fp64,
/// which takes four times as long and is more than what is rounded to bf16 afterwards needs.
/// </summary>
internal static class Exponential
{
    /// <summary>Beyond these the result stays as it is: 2^128 has no exponent in fp32, and 2^-127 is what makes zero of the result.</summary>
    internal const float Highest = 88.3f, Lowest = -87.7f;

    private const float Log2E = 1.44269504f, Ln2High = 0.693359375f, Ln2Low = -2.12194440e-4f;

    /// <summary>1.5 · 2^23: a sum with it is rounded to a whole number, which then lies in the low bits.</summary>
    private const float Rounder = 12582912;

    /// <summary>e^x; NaN stays NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Of(Vector256<float> x)
    {
        // The order of the operands lets NaN through on x86, whose minimum gives the second one then.
        var bounded = Vector256.MaxNative(Vector256.Create(Lowest), Vector256.MinNative(Vector256.Create(Highest), x));
        var rounded = Vector256.FusedMultiplyAdd(bounded, Vector256.Create(Log2E), Vector256.Create(Rounder));
        var whole = rounded - Vector256.Create(Rounder);
        var r = Vector256.FusedMultiplyAdd(whole, Vector256.Create(-Ln2Low), Vector256.FusedMultiplyAdd(whole, Vector256.Create(-Ln2High), bounded));
        var p = Vector256.Create(1.9875691500e-4f);
        p = Vector256.FusedMultiplyAdd(p, r, Vector256.Create(1.3981999507e-3f));
        p = Vector256.FusedMultiplyAdd(p, r, Vector256.Create(8.3334519073e-3f));
        p = Vector256.FusedMultiplyAdd(p, r, Vector256.Create(4.1665795894e-2f));
        p = Vector256.FusedMultiplyAdd(p, r, Vector256.Create(1.6666665459e-1f));
        p = Vector256.FusedMultiplyAdd(p, r, Vector256.Create(5.0000001201e-1f));
        p = Vector256.FusedMultiplyAdd(p, r * r, r) + Vector256<float>.One;
        // Shifting into the exponent field drops all of the sum but the whole number.
        return p * ((rounded.AsInt32() + Vector256.Create(127)) << 23).AsSingle();
    }
    /// <summary>The same of 16 numbers; each result is the one of <see cref="Of(Vector256{float})"/> to the bit.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Of(Vector512<float> x)
    {
        var bounded = Vector512.MaxNative(Vector512.Create(Lowest), Vector512.MinNative(Vector512.Create(Highest), x));
        var rounded = Vector512.FusedMultiplyAdd(bounded, Vector512.Create(Log2E), Vector512.Create(Rounder));
        var whole = rounded - Vector512.Create(Rounder);
        var r = Vector512.FusedMultiplyAdd(whole, Vector512.Create(-Ln2Low), Vector512.FusedMultiplyAdd(whole, Vector512.Create(-Ln2High), bounded));
        var p = Vector512.Create(1.9875691500e-4f);
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(1.3981999507e-3f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(8.3334519073e-3f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(4.1665795894e-2f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(1.6666665459e-1f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(5.0000001201e-1f));
        p = Vector512.FusedMultiplyAdd(p, r * r, r) + Vector512<float>.One;
        return p * ((rounded.AsInt32() + Vector512.Create(127)) << 23).AsSingle();
    }
}
