using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Titan.Kernels.Simd;

/// <summary>
/// e^x in fp32, within 2 units in the last place: x = n ln 2 + r, e^r by a polynomial of degree 7 (coefficients of Cephes' expf, Moshier 1992), times 2^n in two steps so that neither factor
/// leaves fp32. The runtime's own Vector256.Exp computes in fp64, which takes four times as long and is more than what is rounded to bf16 afterwards needs.
/// </summary>
internal static class Exponential
{
    private const float Log2E = 1.44269504f, Ln2High = 0.693359375f, Ln2Low = -2.12194440e-4f;

    /// <summary>Beyond these the result is infinite, or zero.</summary>
    private const float Highest = 89, Lowest = -104;

    /// <summary>e^x; NaN stays NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Of(Vector256<float> x)
    {
        // The order of the operands lets NaN through on x86, whose minimum gives the second one then.
        var bounded = Vector256.MaxNative(Vector256.Create(Lowest), Vector256.MinNative(Vector256.Create(Highest), x));
        var whole = Vector256.Round(bounded * Log2E);
        var r = Vector256.FusedMultiplyAdd(whole, Vector256.Create(-Ln2Low), Vector256.FusedMultiplyAdd(whole, Vector256.Create(-Ln2High), bounded));
        var p = Vector256.Create(1.9875691500e-4f);
        p = Vector256.FusedMultiplyAdd(p, r, Vector256.Create(1.3981999507e-3f));
        p = Vector256.FusedMultiplyAdd(p, r, Vector256.Create(8.3334519073e-3f));
        p = Vector256.FusedMultiplyAdd(p, r, Vector256.Create(4.1665795894e-2f));
        p = Vector256.FusedMultiplyAdd(p, r, Vector256.Create(1.6666665459e-1f));
        p = Vector256.FusedMultiplyAdd(p, r, Vector256.Create(5.0000001201e-1f));
        p = Vector256.FusedMultiplyAdd(p, r * r, r) + Vector256<float>.One;
        var n = Vector256.ConvertToInt32Native(whole);
        var half = n >> 1;
        return p * PowerOfTwo(half) * PowerOfTwo(n - half);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> PowerOfTwo(Vector256<int> n) => ((n + Vector256.Create(127)) << 23).AsSingle();
}
