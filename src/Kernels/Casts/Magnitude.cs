using System.Runtime.CompilerServices;
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

    /// <summary>Raises <paramref name="columns"/>, one magnitude per column, to those of a row.</summary>
    public static void Raise<TElement>(byte* row, float* columns, long count, SimdPath path) where TElement : struct, IElement
    {
        long i = 0;
        var best = (uint*)columns;
        if (path != SimdPath.Portable)
        {
            for (; i + 32 <= count; i += 32)
            {
                var (a, b, c, d) = TElement.Load32(row, i);
                Raise(best + i, a);
                Raise(best + i + 8, b);
                Raise(best + i + 16, c);
                Raise(best + i + 24, d);
            }
        }

        for (; i < count; i++) best[i] = Math.Max(best[i], BitConverter.SingleToUInt32Bits(TElement.Load(row, i)) & Mask32);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Raise(uint* best, Vector256<float> value) =>
        Vector256.Max(Vector256.Load(best), value.AsUInt32() & Vector256.Create(Mask32)).Store(best);

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
