using System.Runtime.Intrinsics;
using Titan.Kernels.Casts;
using Titan.Kernels.Simd;

namespace Titan.Kernels.ModelOps;

/// <summary>What a cross-entropy does to one row. The order of every sum is the same at each width of SIMD that has vectors.</summary>
internal static unsafe class CrossEntropyRows
{
    /// <summary>The loss of a row, and its gradient times a factor where <paramref name="target"/> is not null; that may be the row itself.</summary>
    /// <param name="source">The logits.</param>
    /// <param name="target">Where the gradient goes, or null.</param>
    /// <param name="exponentials">Room for a row in fp32.</param>
    /// <param name="label">0 to width - 1.</param>
    /// <param name="factor">For the rounded gradient, which is then rounded again.</param>
    /// <param name="width">V.</param>
    /// <param name="path">How wide to work.</param>
    public static double Row<TElement>(byte* source, byte* target, float* exponentials, long label, float factor, long width, SimdPath path) where TElement : struct, IElement
    {
        var max = Max<TElement>(source, width, path);
        var sum = Exponentials<TElement>(source, exponentials, max, width, path);
        var at = TElement.Load(source, label);
        if (target is not null)
        {
            var scale = 1 / sum;
            Scaling.Row<Float32Element, TElement, OneFactor>((byte*)exponentials, target, width, new OneFactor(scale), path);
            TElement.Store(target, label, exponentials[label] * scale - 1);
            if (factor != 1) Scaling.Row<TElement, TElement, OneFactor>(target, target, width, new OneFactor(factor), path);
        }

        return Math.Log(sum) + max - at;
    }

    /// <summary>The largest element; NaN is passed over or given back, and is seen by the exponentials either way.</summary>
    private static float Max<TElement>(byte* source, long width, SimdPath path) where TElement : struct, IElement
    {
        var result = float.NegativeInfinity;
        long i = 0;
        if (path != SimdPath.Portable && width >= 32)
        {
            var best = Vector256.Create(float.NegativeInfinity);
            for (; i + 32 <= width; i += 32)
            {
                var (a, b, c, d) = TElement.Load32(source, i);
                best = Vector256.MaxNative(best, Vector256.MaxNative(Vector256.MaxNative(a, b), Vector256.MaxNative(c, d)));
            }

            for (var k = 0; k < 8; k++) result = MathF.Max(result, best[k]);
        }

        for (; i < width; i++) result = MathF.Max(result, TElement.Load(source, i));
        return result;
    }

    /// <summary>Writes e^(x - max) and returns their sum.</summary>
    private static float Exponentials<TElement>(byte* source, float* target, float max, long width, SimdPath path) where TElement : struct, IElement
    {
        Vector256<float> one = default, two = default;
        long i = 0;
        if (path == SimdPath.Vector512)
        {
            var sums = Vector512<float>.Zero;
            for (; i + 16 <= width; i += 16)
            {
                var e = Exponential.Of(TElement.Load16(source, i) - Vector512.Create(max));
                e.Store(target + i);
                sums += e;
            }

            (one, two) = (sums.GetLower(), sums.GetUpper());
        }
        else if (path == SimdPath.Vector256)
        {
            var highest = Vector256.Create(max);
            for (; i + 16 <= width; i += 16)
            {
                Vector256<float> a = Exponential.Of(TElement.Load8(source, i) - highest), b = Exponential.Of(TElement.Load8(source, i + 8) - highest);
                a.Store(target + i);
                b.Store(target + i + 8);
                one += a;
                two += b;
            }
        }

        var sum = Vector256.Sum(one + two);
        for (; i < width; i++) sum += target[i] = MathF.Exp(TElement.Load(source, i) - max);
        return sum;
    }
}
