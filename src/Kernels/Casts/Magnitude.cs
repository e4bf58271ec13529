using System.Runtime.Intrinsics;

namespace Titan.Kernels.Casts;

/// <summary>The largest magnitude, found on bit patterns: without its sign bit, a floating point number orders like an integer, and NaN comes after infinity.</summary>
internal static unsafe class Magnitude
{
    public static uint OfFloat32(uint* source, long count, SimdPath path)
    {
        const uint mask = 0x7fffffff;
        var result = 0u;
        long i = 0;
        if (path == SimdPath.Vector512)
        {
            var best = Vector512<uint>.Zero;
            for (; i + 16 <= count; i += 16) best = Vector512.Max(best, Vector512.Load(source + i) & Vector512.Create(mask));
            for (var k = 0; k < 16; k++) result = Math.Max(result, best[k]);
        }
        else if (path == SimdPath.Vector256)
        {
            var best = Vector256<uint>.Zero;
            for (; i + 8 <= count; i += 8) best = Vector256.Max(best, Vector256.Load(source + i) & Vector256.Create(mask));
            for (var k = 0; k < 8; k++) result = Math.Max(result, best[k]);
        }

        for (; i < count; i++) result = Math.Max(result, source[i] & mask);
        return result;
    }

    public static ushort OfBFloat16(ushort* source, long count, SimdPath path)
    {
        const ushort mask = 0x7fff;
        ushort result = 0;
        long i = 0;
        if (path == SimdPath.Vector512)
        {
            var best = Vector512<ushort>.Zero;
            for (; i + 32 <= count; i += 32) best = Vector512.Max(best, Vector512.Load(source + i) & Vector512.Create(mask));
            for (var k = 0; k < 32; k++) result = Math.Max(result, best[k]);
        }
        else if (path == SimdPath.Vector256)
        {
            var best = Vector256<ushort>.Zero;
            for (; i + 16 <= count; i += 16) best = Vector256.Max(best, Vector256.Load(source + i) & Vector256.Create(mask));
            for (var k = 0; k < 16; k++) result = Math.Max(result, best[k]);
        }

        for (; i < count; i++) result = Math.Max(result, (ushort)(source[i] & mask));
        return result;
    }
}
