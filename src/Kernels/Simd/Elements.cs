using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Titan.Kernels.Simd;

/// <summary>An element type in memory; the kernels compute in fp32. Written once over this, each kernel is compiled for each type.</summary>
internal unsafe interface IElement : ISourceElement
{
    /// <summary>32 consecutive elements.</summary>
    static abstract (Vector256<float>, Vector256<float>, Vector256<float>, Vector256<float>) Load32(byte* source, long index);

    /// <summary>16 consecutive elements.</summary>
    static abstract Vector512<float> Load16(byte* source, long index);

    /// <summary>64 consecutive elements.</summary>
    static abstract (Vector512<float>, Vector512<float>, Vector512<float>, Vector512<float>) Load64(byte* source, long index);

    /// <summary>Rounds to nearest even.</summary>
    static abstract void Store(byte* target, long index, float value);

    /// <summary>Rounds 16 elements to nearest even.</summary>
    static abstract void Store16(byte* target, long index, Vector256<float> a, Vector256<float> b);

    /// <summary>Rounds 16 elements to nearest even.</summary>
    static abstract void Store16(byte* target, long index, Vector512<float> value);
}

internal readonly unsafe struct Float32Element : IElement
{
    public static int Size => 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Load(byte* source, long index) => ((float*)source)[index];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Load8(byte* source, long index) => Vector256.Load((float*)source + index);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (Vector256<float>, Vector256<float>, Vector256<float>, Vector256<float>) Load32(byte* source, long index)
    {
        var p = (float*)source + index;
        return (Vector256.Load(p), Vector256.Load(p + 8), Vector256.Load(p + 16), Vector256.Load(p + 24));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load16(byte* source, long index) => Vector512.Load((float*)source + index);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (Vector512<float>, Vector512<float>, Vector512<float>, Vector512<float>) Load64(byte* source, long index)
    {
        var p = (float*)source + index;
        return (Vector512.Load(p), Vector512.Load(p + 16), Vector512.Load(p + 32), Vector512.Load(p + 48));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(byte* target, long index, float value) => ((float*)target)[index] = value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store16(byte* target, long index, Vector256<float> a, Vector256<float> b)
    {
        a.Store((float*)target + index);
        b.Store((float*)target + index + 8);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store16(byte* target, long index, Vector512<float> value) => value.Store((float*)target + index);
}

internal readonly unsafe struct BFloat16Element : IElement
{
    public static int Size => 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Load(byte* source, long index) => BitConverter.UInt32BitsToSingle((uint)((ushort*)source)[index] << 16);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Load8(byte* source, long index)
    {
        var p = (ushort*)source + index;
        if (Avx2.IsSupported) return (Avx2.ConvertToVector256Int32(p) << 16).AsSingle();
        var (low, high) = Vector128.Widen(Vector128.Load(p));
        return (Vector256.Create(low, high) << 16).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (Vector256<float>, Vector256<float>, Vector256<float>, Vector256<float>) Load32(byte* source, long index)
    {
        return (Load8(source, index), Load8(source, index + 8), Load8(source, index + 16), Load8(source, index + 24));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load16(byte* source, long index)
    {
        var bits = Vector256.Load((ushort*)source + index);
        if (Avx512F.IsSupported) return (Avx512F.ConvertToVector512UInt32(bits) << 16).AsSingle();
        var (low, high) = Vector256.Widen(bits);
        return (Vector512.Create(low, high) << 16).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (Vector512<float>, Vector512<float>, Vector512<float>, Vector512<float>) Load64(byte* source, long index)
    {
        var p = (ushort*)source + index;
        var (a, b) = Vector512.Widen(Vector512.Load(p));
        var (c, d) = Vector512.Widen(Vector512.Load(p + 32));
        return ((a << 16).AsSingle(), (b << 16).AsSingle(), (c << 16).AsSingle(), (d << 16).AsSingle());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(byte* target, long index, float value)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);
        // Adding could carry a NaN's mantissa into the sign.
        ((ushort*)target)[index] = float.IsNaN(value) ? (ushort)(0x7fc0 | ((bits >> 16) & 0x8000)) : (ushort)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store16(byte* target, long index, Vector256<float> a, Vector256<float> b)
    {
        var to = (ushort*)target + index;
        // NaN is rare: a branch costs less than choosing for every element.
        if ((Vector256.Equals(a, a) & Vector256.Equals(b, b)).AsUInt32() != Vector256<uint>.AllBitsSet)
        {
            StoreWithNan(to, a, b);
            return;
        }

        Vector256<uint> low = Round(a), high = Round(b);
        // Both have 16 bits: packing with saturation is one instruction, narrowing four.
        if (Avx2.IsSupported) Avx2.Permute4x64(Avx2.PackUnsignedSaturate(low.AsInt32(), high.AsInt32()).AsUInt64(), 0b11_01_10_00).AsUInt16().Store(to);
        else Vector256.Narrow(low, high).Store(to);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store16(byte* target, long index, Vector512<float> value)
    {
        if (!Avx512F.IsSupported || Vector512.Equals(value, value).AsUInt32() != Vector512<uint>.AllBitsSet)
        {
            Store16(target, index, value.GetLower(), value.GetUpper());
            return;
        }

        var bits = value.AsUInt32();
        Avx512F.ConvertToVector256UInt16((bits + Vector512.Create(0x7fffu) + ((bits >>> 16) & Vector512.Create(1u))) >>> 16).Store((ushort*)target + index);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<uint> Round(Vector256<float> value)
    {
        var bits = value.AsUInt32();
        return (bits + Vector256.Create(0x7fffu) + ((bits >>> 16) & Vector256.Create(1u))) >>> 16;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void StoreWithNan(ushort* target, Vector256<float> a, Vector256<float> b)
    {
        for (var i = 0; i < 8; i++)
        {
            Store((byte*)target, i, a[i]);
            Store((byte*)target, i + 8, b[i]);
        }
    }
}
