using Titan.Kernels.Simd;

namespace Titan.Kernels.Casts;

/// <summary>Multiplies a row by its factors, from one element type to another.</summary>
internal static unsafe class Scaling
{
    public static void Row<TSource, TTarget, TFactors>(byte* source, byte* target, long count, TFactors factors, SimdPath path)
        where TSource : struct, IElement where TTarget : struct, IElement where TFactors : struct, IFactors
    {
        long i = 0;
        if (path != SimdPath.Portable)
        {
            for (; i + 32 <= count; i += 32)
            {
                var (a, b, c, d) = TSource.Load32(source, i);
                TTarget.Store16(target, i, a * factors.At8(i), b * factors.At8(i + 8));
                TTarget.Store16(target, i + 16, c * factors.At8(i + 16), d * factors.At8(i + 24));
            }
        }

        for (; i < count; i++) TTarget.Store(target, i, TSource.Load(source, i) * factors.At(i));
    }
}
