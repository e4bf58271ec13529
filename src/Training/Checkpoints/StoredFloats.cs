using System.Numerics;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Titan.Training.Checkpoints;

/// <summary>Looks for NaN and infinity in the bytes of a file: numbers whose exponent has all its bits.</summary>
internal static class StoredFloats
{
    /// <summary>Whether a number is not finite. Bytes of a dtype that has no such numbers are passed over.</summary>
    /// <param name="type">What the bytes are.</param>
    /// <param name="bytes">Whole numbers, little endian.</param>
    public static bool HasNonFinite(ScalarType type, ReadOnlySpan<byte> bytes) => type switch
    {
        ScalarType.Float64 => HasExponent<ulong>(MemoryMarshal.Cast<byte, ulong>(bytes), 0x7ff0_0000_0000_0000),
        ScalarType.Float32 => HasExponent<uint>(MemoryMarshal.Cast<byte, uint>(bytes), 0x7f80_0000),
        ScalarType.BFloat16 => HasExponent<ushort>(MemoryMarshal.Cast<byte, ushort>(bytes), 0x7f80),
        ScalarType.Float16 => HasExponent<ushort>(MemoryMarshal.Cast<byte, ushort>(bytes), 0x7c00),
        _ => false,
    };

    private static bool HasExponent<T>(ReadOnlySpan<T> numbers, T exponent)
        where T : unmanaged, IBinaryInteger<T>
    {
        var mask = new Vector<T>(exponent);
        var i = 0;
        for (; i <= numbers.Length - Vector<T>.Count; i += Vector<T>.Count)
            if (Vector.EqualsAny(new Vector<T>(numbers[i..]) & mask, mask)) return true;
        for (; i < numbers.Length; i++)
            if ((numbers[i] & exponent) == exponent) return true;
        return false;
    }
}
