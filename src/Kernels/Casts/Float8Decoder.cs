using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Titan.Kernels.Simd;

namespace Titan.Kernels.Casts;

/// <summary>Float8 to bf16 or fp32: all 256 values of either format are exact in both.</summary>
internal static unsafe class Float8Decoder
{
    /// <summary>Decodes elements as they are.</summary>
    public static void Decode<TElement, TCodec>(byte* source, byte* target, long count, SimdPath path) where TElement : struct, IElement where TCodec : struct, IFloat8Codec
    {
        long done = 0;
        if (typeof(TElement) == typeof(BFloat16Element))
        {
            if (path == SimdPath.Vector512 && Avx512Vbmi.IsSupported) done = ByPermutation(TCodec.Table, source, (ushort*)target, count);
            else if (path != SimdPath.Portable && Avx2.IsSupported) done = ByShifting<TCodec>(source, (ushort*)target, count);
        }

        Decode<TElement, OneFactor, TCodec>(source + done, target + done * TElement.Size, count - done, new OneFactor(1), path);
    }

    /// <summary>Decodes the elements of a row and multiplies each by its factor.</summary>
    public static void Decode<TElement, TFactors, TCodec>(byte* source, byte* target, long count, TFactors factors, SimdPath path)
        where TElement : struct, IElement where TFactors : struct, IFactors where TCodec : struct, IFloat8Codec
    {
        long i = 0;
        if (path != SimdPath.Portable)
        {
            for (; i + 16 <= count; i += 16)
            {
                var (low, high) = Vector256.Widen(Vector256.WidenLower(Vector128.Load(source + i).ToVector256Unsafe()));
                TElement.Store16(target, i, Signed<TCodec>(low) * factors.At8(i), Signed<TCodec>(high) * factors.At8(i + 8));
            }
        }

        var table = TCodec.Table;
        for (; i < count; i++) TElement.Store(target, i, BitConverter.UInt32BitsToSingle((uint)table[source[i]] << 16) * factors.At(i));
    }

    /// <summary>8 codes in fp32.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Load8<TCodec>(byte* source) where TCodec : struct, IFloat8Codec
    {
        var codes = Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(ulong*)source).AsByte());
        var (low, high) = Vector128.Widen(codes);
        return Signed<TCodec>(Vector256.Create(low, high));
    }

    /// <summary>
    /// The 128 magnitudes lie in four registers, low bytes and high bytes apart; one permutation looks up 64 codes. Returns how many were decoded.
    /// </summary>
    private static long ByPermutation(ushort[] table, byte* source, ushort* target, long count)
    {
        var bytes = MemoryMarshal.AsBytes(table.AsSpan(0, 128));
        var low = stackalloc byte[128];
        var high = stackalloc byte[128];
        for (var k = 0; k < 128; k++) (low[k], high[k]) = (bytes[2 * k], bytes[2 * k + 1]);
        Vector512<byte> lowA = Vector512.Load(low), lowB = Vector512.Load(low + 64), highA = Vector512.Load(high), highB = Vector512.Load(high + 64);
        var signs = Vector512.Create((byte)0x80);
        long i = 0;
        for (; i + 64 <= count; i += 64)
        {
            // The permutation reads the low seven bits of each code, which is the magnitude.
            var codes = Vector512.Load(source + i);
            var l = Avx512Vbmi.PermuteVar64x8x2(lowA, codes, lowB);
            var h = Avx512Vbmi.PermuteVar64x8x2(highA, codes, highB) | (codes & signs);
            var (l0, l1) = Vector512.Widen(l);
            var (h0, h1) = Vector512.Widen(h);
            (l0 | (h0 << 8)).Store(target + i);
            (l1 | (h1 << 8)).Store(target + i + 32);
        }

        return i;
    }

    /// <summary>
    /// Of most magnitudes the bf16 number is the code, shifted, plus the difference of the biases; its two bytes are made apart, for 32 codes at once. The first eight (subnormal ones among them) and the
    /// last eight (infinity and NaN among them) are looked up by their low four bits, which tell the two groups apart. Returns how many were decoded.
    /// </summary>
    private static long ByShifting<TCodec>(byte* source, ushort* target, long count) where TCodec : struct, IFloat8Codec
    {
        var table = TCodec.Table;
        Vector128<byte> lowTable = default, highTable = default;
        for (var nibble = 0; nibble < 16; nibble++)
        {
            var value = table[nibble < 8 ? nibble : 0x70 + nibble];
            (lowTable, highTable) = (lowTable.WithElement(nibble, (byte)value), highTable.WithElement(nibble, (byte)(value >> 8)));
        }

        Vector256<byte> lows = Vector256.Create(lowTable, lowTable), highs = Vector256.Create(highTable, highTable);
        var shift = TCodec.Shift - 16;
        long i = 0;
        for (; i + 32 <= count; i += 32)
        {
            var codes = Vector256.Load(source + i);
            var magnitudes = codes & Vector256.Create((byte)0x7f);
            var low = (magnitudes.AsUInt16() << shift).AsByte() & Vector256.Create((byte)(0xff << shift));
            var high = ((magnitudes.AsUInt16() >>> (8 - shift)).AsByte() & Vector256.Create((byte)(0x7f >> (8 - shift)))) + Vector256.Create((byte)(TCodec.Bias >> 24));
            var isLookedUp = Vector256.Equals((magnitudes + Vector256.Create((byte)8)) & Vector256.Create((byte)0x70), Vector256<byte>.Zero);
            low = Vector256.ConditionalSelect(isLookedUp, Avx2.Shuffle(lows, magnitudes), low);
            high = Vector256.ConditionalSelect(isLookedUp, Avx2.Shuffle(highs, magnitudes), high) | (codes ^ magnitudes);
            Vector256<byte> a = Avx2.UnpackLow(low, high), b = Avx2.UnpackHigh(low, high);
            Avx2.Permute2x128(a, b, 0x20).AsUInt16().Store(target + i);
            Avx2.Permute2x128(a, b, 0x31).AsUInt16().Store(target + i + 16);
        }

        return i;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Signed<TCodec>(Vector256<uint> codes) where TCodec : struct, IFloat8Codec =>
        (Value<TCodec>(codes & Vector256.Create(0x7fu)) | ((codes & Vector256.Create(0x80u)) << 24)).AsSingle();

    /// <summary>fp32 bit patterns of magnitude codes: normal ones by moving the bits, subnormal ones as so many smallest steps.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<uint> Value<TCodec>(Vector256<uint> code) where TCodec : struct, IFloat8Codec
    {
        var normal = (code << TCodec.Shift) + Vector256.Create(TCodec.Bias);
        var small = (Vector256.ConvertToSingle(code.AsInt32()) * TCodec.Step).AsUInt32();
        var value = Vector256.ConditionalSelect(Vector256.LessThan(code.AsInt32(), Vector256.Create((int)FirstNormal<TCodec>())).AsUInt32(), small, normal);
        var special = Vector256.ConditionalSelect(
            Vector256.LessThan(code.AsInt32(), Vector256.Create((int)TCodec.FirstNan)).AsUInt32(), Vector256.Create(0x7f800000u), Vector256.Create(0x7fc00000u));
        return Vector256.ConditionalSelect(Vector256.LessThan(code.AsInt32(), Vector256.Create((int)TCodec.FirstSpecial)).AsUInt32(), value, special);
    }

    internal static ushort[] MakeTable<TCodec>() where TCodec : struct, IFloat8Codec
    {
        var table = new ushort[256];
        for (var code = 0u; code < 256; code++)
        {
            var magnitude = code & 0x7f;
            var bits =
                magnitude >= TCodec.FirstNan ? 0x7fc00000
                : magnitude >= TCodec.FirstSpecial ? 0x7f800000
                : magnitude < FirstNormal<TCodec>() ? BitConverter.SingleToUInt32Bits(magnitude * TCodec.Step)
                : (magnitude << TCodec.Shift) + TCodec.Bias;
            table[code] = (ushort)((bits >> 16) | ((code & 0x80) << 8));
        }

        return table;
    }

    /// <summary>The first magnitude code of a normal number.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint FirstNormal<TCodec>() where TCodec : struct, IFloat8Codec => 1u << (23 - TCodec.Shift);
}
