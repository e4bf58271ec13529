using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Titan.Kernels.Simd;

namespace Titan.Kernels.Casts;

/// <summary>
/// Scale, clamp and round to float8, nearest even, on bit patterns. Numbers in the format's normal range round by adding half a unit in the last place and cutting;
/// smaller ones by adding a power of two whose own last place is the format's smallest step, which lets the FPU round.
/// </summary>
internal static unsafe class Float8Encoder
{
    private const uint Infinity = 0x7f800000;

    /// <summary>Encodes <paramref name="count"/> consecutive elements of one row.</summary>
    // Inlined into a larger method, the compiler would no longer inline what the loop does: it has a budget for each method.
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static void Encode<TElement, TFactors, TCodec>(byte* source, byte* target, long count, TFactors factors, SimdPath path)
        where TElement : struct, IElement where TFactors : struct, IFactors where TCodec : struct, IFloat8Codec
    {
        long i = 0;
        if (path == SimdPath.Vector512)
        {
            for (; i + 64 <= count; i += 64)
            {
                var (a, b, c, d) = TElement.Load64(source, i);
                var ab = Vector512.Narrow(Encode<TCodec>(a * factors.At16(i)), Encode<TCodec>(b * factors.At16(i + 16)));
                var cd = Vector512.Narrow(Encode<TCodec>(c * factors.At16(i + 32)), Encode<TCodec>(d * factors.At16(i + 48)));
                Vector512.Narrow(ab, cd).Store(target + i);
            }
        }

        if (path != SimdPath.Portable)
        {
            for (; i + 32 <= count; i += 32)
            {
                Vector256<uint> a = Encode<TCodec>(TElement.Load8(source, i) * factors.At8(i)), b = Encode<TCodec>(TElement.Load8(source, i + 8) * factors.At8(i + 8));
                Vector256<uint> c = Encode<TCodec>(TElement.Load8(source, i + 16) * factors.At8(i + 16)), d = Encode<TCodec>(TElement.Load8(source, i + 24) * factors.At8(i + 24));
                Pack(a, b, c, d).Store(target + i);
            }
        }

        for (; i < count; i++) target[i] = Encode<TCodec>(TElement.Load(source, i) * factors.At(i));
    }

    /// <summary>The lowest bytes of elements that have no other.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<byte> Pack(Vector256<uint> a, Vector256<uint> b, Vector256<uint> c, Vector256<uint> d)
    {
        if (!Avx2.IsSupported) return Vector256.Narrow(Vector256.Narrow(a, b), Vector256.Narrow(c, d));
        // Packing with saturation is one instruction, but works in each half by itself.
        var ab = Avx2.PackUnsignedSaturate(a.AsInt32(), b.AsInt32()).AsInt16();
        var cd = Avx2.PackUnsignedSaturate(c.AsInt32(), d.AsInt32()).AsInt16();
        return Avx2.PermuteVar8x32(Avx2.PackUnsignedSaturate(ab, cd).AsUInt32(), Vector256.Create(0u, 4, 1, 5, 2, 6, 3, 7)).AsByte();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<uint> Encode<TCodec>(Vector512<float> x) where TCodec : struct, IFloat8Codec
    {
        var bits = x.AsUInt32();
        var sign = (bits >>> 24) & Vector512.Create(0x80u);
        var magnitude = bits & Vector512.Create(0x7fffffffu);
        var isNan = Vector512.GreaterThan(magnitude, Vector512.Create(Infinity));
        magnitude = Vector512.Min(magnitude, Vector512.Create(TCodec.Max));
        var small = (magnitude.AsSingle() + Vector512.Create(TCodec.Denormal).AsSingle()).AsUInt32() - Vector512.Create(TCodec.Denormal);
        var odd = (magnitude >>> TCodec.Shift) & Vector512.Create(1u);
        var normal = (magnitude + odd + Vector512.Create(HalfLess<TCodec>())) >>> TCodec.Shift;
        var code = Vector512.ConditionalSelect(Vector512.LessThan(magnitude, Vector512.Create(TCodec.SmallestNormal)), small, normal);
        return Vector512.ConditionalSelect(isNan, Vector512.Create(0x7fu), code) | sign;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<uint> Encode<TCodec>(Vector256<float> x) where TCodec : struct, IFloat8Codec
    {
        var bits = x.AsUInt32();
        var sign = (bits >>> 24) & Vector256.Create(0x80u);
        var magnitude = bits & Vector256.Create(0x7fffffffu);
        // Magnitudes are below 2^31: signed comparison, which AVX2 has, gives the same answer.
        var isNan = Vector256.GreaterThan(magnitude.AsInt32(), Vector256.Create((int)Infinity)).AsUInt32();
        magnitude = Vector256.Min(magnitude, Vector256.Create(TCodec.Max));
        var small = (magnitude.AsSingle() + Vector256.Create(TCodec.Denormal).AsSingle()).AsUInt32() - Vector256.Create(TCodec.Denormal);
        var odd = (magnitude >>> TCodec.Shift) & Vector256.Create(1u);
        var normal = (magnitude + odd + Vector256.Create(HalfLess<TCodec>())) >>> TCodec.Shift;
        var isSmall = Vector256.LessThan(magnitude.AsInt32(), Vector256.Create((int)TCodec.SmallestNormal)).AsUInt32();
        var code = Vector256.ConditionalSelect(isSmall, small, normal);
        return Vector256.ConditionalSelect(isNan, Vector256.Create(0x7fu), code) | sign;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static byte Encode<TCodec>(float x) where TCodec : struct, IFloat8Codec
    {
        var bits = BitConverter.SingleToUInt32Bits(x);
        var sign = (bits >> 24) & 0x80;
        var magnitude = bits & 0x7fffffff;
        if (magnitude > Infinity) return (byte)(sign | 0x7f);
        magnitude = Math.Min(magnitude, TCodec.Max);
        if (magnitude < TCodec.SmallestNormal)
        {
            var sum = BitConverter.UInt32BitsToSingle(magnitude) + BitConverter.UInt32BitsToSingle(TCodec.Denormal);
            return (byte)(sign | (BitConverter.SingleToUInt32Bits(sum) - TCodec.Denormal));
        }

        return (byte)(sign | ((magnitude + ((magnitude >> TCodec.Shift) & 1) + HalfLess<TCodec>()) >> TCodec.Shift));
    }

    /// <summary>Just under half a unit in the last place, less the difference of the biases.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint HalfLess<TCodec>() where TCodec : struct, IFloat8Codec => (1u << (TCodec.Shift - 1)) - 1 - TCodec.Bias;
}
