using System.Runtime.Intrinsics;
using Titan.Kernels.Simd;

namespace Titan.Kernels.Casts;

/// <summary>The largest magnitude, found on bit patterns: without its sign bit, a floating point number orders like an integer, and NaN comes after infinity.</summary>
internal static unsafe class Magnitude
{
    private const uint Mask32 = 0x7fffffff;
    private const ushort Mask16 = 0x7fff;

    /// <summary>Of consecutive elements, as fp32.</summary>
    public static float Of<TElement>(byte* source, long count, SimdPath path) where TElement : struct, IElement => BitConverter.UInt32BitsToSingle(
        typeof(TElement) == typeof(BFloat16Element) ? (uint)OfBFloat16((ushort*)source, count, path) << 16 : OfFloat32((uint*)source, count, path));

    /// <summary>The larger of two magnitudes, NaN if one is.</summary>
    public static float Larger(float a, float b) => BitConverter.UInt32BitsToSingle(Math.Max(BitConverter.SingleToUInt32Bits(a), BitConverter.SingleToUInt32Bits(b)));

    /// <summary>Of each of <paramref name="count"/> columns over some rows, <paramref name="stride"/> elements apart, and over what <paramref name="columns"/> holds of earlier ones, as fp32.</summary>
    public static void OfColumns<TElement>(byte* source, long rows, long stride, float* columns, long count, SimdPath path) where TElement : struct, IElement
    {
        long i = 0;
        if (path != SimdPath.Portable)
        {
            if (typeof(TElement) == typeof(BFloat16Element))
                for (; i + 64 <= count; i += 64) Columns64((ushort*)source + i, rows, stride, (uint*)columns + i);
            else
                for (; i + 32 <= count; i += 32) Columns32((uint*)source + i, rows, stride, (uint*)columns + i);
        }

        for (; i < count; i++)
        {
            var best = ((uint*)columns)[i];
            for (var r = 0L; r < rows; r++) best = Math.Max(best, BitConverter.SingleToUInt32Bits(TElement.Load(source, r * stride + i)) & Mask32);
            ((uint*)columns)[i] = best;
        }
    }

    /// <summary>So many columns that their maxima stay in registers over all rows.</summary>
    private static void Columns64(ushort* source, long rows, long stride, uint* columns)
    {
        var mask = Vector256.Create(Mask16);
        Vector256<ushort> a = Load(columns), b = Load(columns + 16), c = Load(columns + 32), d = Load(columns + 48);
        for (var r = 0L; r < rows; r++, source += stride)
        {
            a = Vector256.Max(a, Vector256.Load(source) & mask);
            b = Vector256.Max(b, Vector256.Load(source + 16) & mask);
            c = Vector256.Max(c, Vector256.Load(source + 32) & mask);
            d = Vector256.Max(d, Vector256.Load(source + 48) & mask);
        }

        Store(a, columns);
        Store(b, columns + 16);
        Store(c, columns + 32);
        Store(d, columns + 48);

        static Vector256<ushort> Load(uint* earlier) => Vector256.Narrow(Vector256.Load(earlier) >> 16, Vector256.Load(earlier + 8) >> 16);

        static void Store(Vector256<ushort> best, uint* target)
        {
            var (low, high) = Vector256.Widen(best);
            (low << 16).Store(target);
            (high << 16).Store(target + 8);
        }
    }

    private static void Columns32(uint* source, long rows, long stride, uint* columns)
    {
        var mask = Vector256.Create(Mask32);
        Vector256<uint> a = Vector256.Load(columns), b = Vector256.Load(columns + 8), c = Vector256.Load(columns + 16), d = Vector256.Load(columns + 24);
        for (var r = 0L; r < rows; r++, source += stride)
        {
            a = Vector256.Max(a, Vector256.Load(source) & mask);
            b = Vector256.Max(b, Vector256.Load(source + 8) & mask);
            c = Vector256.Max(c, Vector256.Load(source + 16) & mask);
            d = Vector256.Max(d, Vector256.Load(source + 24) & mask);
        }

        a.Store(columns);
        b.Store(columns + 8);
        c.Store(columns + 16);
        d.Store(columns + 24);
    }

    private static uint OfFloat32(uint* source, long count, SimdPath path)
    {
        var result = 0u;
        long i = 0;
        if (path == SimdPath.Vector512)
        {
            var best = Vector512<uint>.Zero;
            for (; i + 16 <= count; i += 16) best = Vector512.Max(best, Vector512.Load(source + i) & Vector512.Create(Mask32));
            for (var k = 0; k < 16; k++) result = Math.Max(result, best[k]);
        }
        else if (path == SimdPath.Vector256)
        {
            var best = Vector256<uint>.Zero;
            for (; i + 8 <= count; i += 8) best = Vector256.Max(best, Vector256.Load(source + i) & Vector256.Create(Mask32));
            for (var k = 0; k < 8; k++) result = Math.Max(result, best[k]);
        }

        for (; i < count; i++) result = Math.Max(result, source[i] & Mask32);
        return result;
    }

    private static ushort OfBFloat16(ushort* source, long count, SimdPath path)
    {
        ushort result = 0;
        long i = 0;
        if (path == SimdPath.Vector512)
        {
            var best = Vector512<ushort>.Zero;
            for (; i + 32 <= count; i += 32) best = Vector512.Max(best, Vector512.Load(source + i) & Vector512.Create(Mask16));
            for (var k = 0; k < 32; k++) result = Math.Max(result, best[k]);
        }
        else if (path == SimdPath.Vector256)
        {
            var best = Vector256<ushort>.Zero;
            for (; i + 16 <= count; i += 16) best = Vector256.Max(best, Vector256.Load(source + i) & Vector256.Create(Mask16));
            for (var k = 0; k < 16; k++) result = Math.Max(result, best[k]);
        }

        for (; i < count; i++) result = Math.Max(result, (ushort)(source[i] & Mask16));
        return result;
    }
}
