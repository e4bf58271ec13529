using System.Runtime.Intrinsics;
using Titan.Kernels.Simd;

namespace Titan.Kernels.ModelOps;

/// <summary>What an RMSNorm does to one row. The order of every sum is the same at each width of SIMD that has vectors.</summary>
internal static unsafe class RmsNormRows
{
    /// <summary>The gradient of a row, and what it adds to that of the weight.</summary>
    public static void Gradient<TElement>(byte* g, byte* x, byte* w, byte* target, float* dw, float factor, long width, SimdPath path) where TElement : struct, IElement
    {
        var inner = Dot<TElement>(g, x, w, width, path) / width * factor * factor;
        long i = 0;
        if (path != SimdPath.Portable)
        {
            for (; i + 32 <= width; i += 32)
            {
                var (ga, gb, gc, gd) = TElement.Load32(g, i);
                var (xa, xb, xc, xd) = TElement.Load32(x, i);
                var (wa, wb, wc, wd) = TElement.Load32(w, i);
                TElement.Store16(target, i, (ga * wa - xa * inner) * factor, (gb * wb - xb * inner) * factor);
                TElement.Store16(target, i + 16, (gc * wc - xc * inner) * factor, (gd * wd - xd * inner) * factor);
                Add(dw + i, ga * xa * factor);
                Add(dw + i + 8, gb * xb * factor);
                Add(dw + i + 16, gc * xc * factor);
                Add(dw + i + 24, gd * xd * factor);
            }
        }

        for (; i < width; i++)
        {
            float gi = TElement.Load(g, i), xi = TElement.Load(x, i);
            TElement.Store(target, i, (gi * TElement.Load(w, i) - xi * inner) * factor);
            dw[i] += gi * xi * factor;
        }
    }

    private static void Add(float* sum, Vector256<float> value) => (Vector256.Load(sum) + value).Store(sum);

    /// <summary>target = a + b, rounded.</summary>
    public static void Add<TElement>(byte* a, byte* b, byte* target, long width, SimdPath path) where TElement : struct, IElement
    {
        long i = 0;
        if (path != SimdPath.Portable)
            for (; i + 16 <= width; i += 16) TElement.Store16(target, i, TElement.Load8(a, i) + TElement.Load8(b, i), TElement.Load8(a, i + 8) + TElement.Load8(b, i + 8));

        for (; i < width; i++) TElement.Store(target, i, TElement.Load(a, i) + TElement.Load(b, i));
    }

    /// <summary>target = x · factor · w, rounded.</summary>
    public static void Scale<TElement>(byte* x, byte* w, byte* target, float factor, long width, SimdPath path) where TElement : struct, IElement
    {
        long i = 0;
        if (path != SimdPath.Portable)
        {
            for (; i + 32 <= width; i += 32)
            {
                var (a, b, c, d) = TElement.Load32(x, i);
                var (wa, wb, wc, wd) = TElement.Load32(w, i);
                TElement.Store16(target, i, a * factor * wa, b * factor * wb);
                TElement.Store16(target, i + 16, c * factor * wc, d * factor * wd);
            }
        }

        for (; i < width; i++) TElement.Store(target, i, TElement.Load(x, i) * factor * TElement.Load(w, i));
    }

    public static float SumOfSquares<TElement>(byte* source, long width, SimdPath path) where TElement : struct, IElement
    {
        Vector256<float> one = default, two = default;
        long i = 0;
        if (path != SimdPath.Portable)
        {
            for (; i + 32 <= width; i += 32)
            {
                var (a, b, c, d) = TElement.Load32(source, i);
                one += a * a + b * b;
                two += c * c + d * d;
            }
        }

        var sum = Vector256.Sum(one + two);
        for (; i < width; i++) sum += TElement.Load(source, i) * TElement.Load(source, i);
        return sum;
    }

    public static float Dot<TElement>(byte* g, byte* x, byte* w, long width, SimdPath path) where TElement : struct, IElement
    {
        Vector256<float> one = default, two = default;
        long i = 0;
        if (path != SimdPath.Portable)
        {
            for (; i + 32 <= width; i += 32)
            {
                var (ga, gb, gc, gd) = TElement.Load32(g, i);
                var (xa, xb, xc, xd) = TElement.Load32(x, i);
                var (wa, wb, wc, wd) = TElement.Load32(w, i);
                one += ga * wa * xa + gb * wb * xb;
                two += gc * wc * xc + gd * wd * xd;
            }
        }

        var sum = Vector256.Sum(one + two);
        for (; i < width; i++) sum += TElement.Load(g, i) * TElement.Load(w, i) * TElement.Load(x, i);
        return sum;
    }
}
