using System.Runtime.Intrinsics;

namespace Titan.Kernels.Casts;

/// <summary>The largest magnitude, found on bit patterns: without its sign bit, a floating point number orders like an integer, and NaN comes after infinity.</summary>
internal static unsafe class Magnitude
{
    public static uint OfFloat32(uint* source, long count)
    {
        const uint mask = 0x7fffffff;
        var best = Vector512<uint>.Zero;
        long i = 0;
        for (; i + Vector512<uint>.Count <= count; i += Vector512<uint>.Count)
            best = Vector512.Max(best, Vector512.Load(source + i) & Vector512.Create(mask));
        var result = 0u;
        for (var k = 0; k < Vector512<uint>.Count; k++) result = Math.Max(result, best[k]);
        for (; i < count; i++) result = Math.Max(result, source[i] & mask);
        return result;
    }

    public static ushort OfBFloat16(ushort* source, long count)
    {
        const ushort mask = 0x7fff;
        var best = Vector512<ushort>.Zero;
        long i = 0;
        for (; i + Vector512<ushort>.Count <= count; i += Vector512<ushort>.Count)
            best = Vector512.Max(best, Vector512.Load(source + i) & Vector512.Create(mask));
        ushort result = 0;
        for (var k = 0; k < Vector512<ushort>.Count; k++) result = Math.Max(result, best[k]);
        for (; i < count; i++) result = Math.Max(result, (ushort)(source[i] & mask));
        return result;
    }
}
