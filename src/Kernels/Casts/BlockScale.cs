using Titan.Abstractions;
using Titan.Kernels.Aten;
using static TorchSharp.torch;

namespace Titan.Kernels.Casts;

/// <summary>
/// From the amax of a block to its e8m0 scale, on bit patterns. A byte e stands for 2^(e - 127); 255 is NaN and makes the whole block NaN, as infinity and NaN in it must.
/// With E and m the exponent field and the mantissa of amax, and P the exponent of the format's largest value (8 for e4m3, 15 for e5m2):
/// <code>
/// Floor    e = max(E - P, 0)
/// Ceil     e = max(E + (m ≠ 0) - P, 0)
/// Even     amax is rounded to the format's mantissa first (ties away from zero into the exponent), then Floor
/// RoundUp  amax · fl32(1 / largest value), rounded up to a power of two (NVIDIA's RCEIL)
/// </code>
/// Sources: OCP Microscaling Formats 1.0 section 6.3; torchao's to_mx.
/// </summary>
public static class BlockScale
{
    private const uint Infinity = 0x7f800000, Mantissa = 0x7fffff, Nan = 255;

    /// <summary>The scale byte of a block.</summary>
    /// <param name="amax">The largest magnitude, NaN if the block holds one.</param>
    /// <param name="format">e4m3 or e5m2.</param>
    /// <param name="rounding">Floor, Ceil, Even or RoundUp.</param>
    public static byte FromAmax(float amax, Float8Format format, ScaleRounding rounding) => rounding == ScaleRounding.RoundUp
        ? RoundUp(amax * (float)(1 / format.Max))
        : Below(BitConverter.SingleToUInt32Bits(amax), LargestExponent(format), MantissaBits(format), rounding);

    /// <summary>The smallest power of two that is not below the value, as an e8m0 byte; 255 for what is not finite or too large.</summary>
    public static byte RoundUp(float value)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);
        if (bits >= Infinity) return (byte)Nan;
        uint exponent = bits >> 23, mantissa = bits & Mantissa;
        // A subnormal up to 2^-127 is what byte 0 stands for.
        return (byte)(exponent + (exponent == 0 ? mantissa > 0x400000 ? 1u : 0 : mantissa != 0 ? 1u : 0));
    }

    /// <summary>What the elements of a block are multiplied by before they are cast: 2^(127 - e), or NaN.</summary>
    public static float Reciprocal(byte scale) => BitConverter.UInt32BitsToSingle(scale switch { 255 => 0x7fc00000u, 254 => 0x00400000u, _ => (254u - scale) << 23 });

    /// <summary>2^(e - 127), or NaN.</summary>
    public static float Value(byte scale) => BitConverter.UInt32BitsToSingle(scale switch { 255 => 0x7fc00000u, 0 => 0x00400000u, _ => (uint)scale << 23 });

    /// <summary>The same as ATen operations, element by element: e8m0 of amax's shape.</summary>
    public static Tensor FromAmax(Tensor amax, Float8Format format, ScaleRounding rounding)
    {
        using var scope = NewDisposeScope();
        var value = rounding == ScaleRounding.RoundUp ? amax * tensor((float)(1 / format.Max), device: amax.device) : amax;
        // The sign of a NaN says nothing.
        var original = AtenGateway.ViewDtype(value.contiguous(), ScalarType.Int32).to(ScalarType.Int64).bitwise_and(tensor(0x7fffffffL, device: amax.device));
        var bits = rounding == ScaleRounding.Even ? original + (1L << (22 - MantissaBits(format))) : original;
        // Also where rounding made it so: a block whose amax rounds to infinity is NaN.
        var finite = bits.lt(Infinity) & original.lt(Infinity);
        var exponent = bits.bitwise_right_shift(tensor(23L, device: amax.device));
        var mantissa = bits.bitwise_and(tensor((long)Mantissa, device: amax.device));
        var up = rounding switch
        {
            ScaleRounding.RoundUp => mantissa.gt(0x400000) | (exponent.gt(0) & mantissa.gt(0)),
            ScaleRounding.Ceil => mantissa.gt(0),
            _ => mantissa.lt(0),
        };
        var scale = exponent + up.to(ScalarType.Int64);
        if (rounding != ScaleRounding.RoundUp) scale = (scale - LargestExponent(format)).clamp(min: 0);
        var bytes = where(finite, scale, tensor(255L, device: amax.device)).to(ScalarType.Byte);
        return AtenGateway.ViewDtype(bytes, Float8Format.E8M0.Type).MoveToOuterDisposeScope();
    }

    /// <summary>2^(127 - e) of each byte, or 2^(e - 127) when <paramref name="reciprocal"/> is false; fp32.</summary>
    public static Tensor Decode(Tensor scale, bool reciprocal)
    {
        using var scope = NewDisposeScope();
        var bytes = AtenGateway.ViewDtype(scale.contiguous(), ScalarType.Byte).to(ScalarType.Int64);
        var exponent = reciprocal ? 254 - bytes : bytes;
        var bits = where(exponent.eq(0), tensor(0x400000L, device: scale.device), exponent * (1L << 23));
        bits = where(bytes.eq(255), tensor(0x7fc00000L, device: scale.device), bits);
        return AtenGateway.ViewDtype(bits.to(ScalarType.Int32), ScalarType.Float32).MoveToOuterDisposeScope();
    }

    /// <summary>Exponent of the format's largest value.</summary>
    internal static int LargestExponent(Float8Format format) => format == Float8Format.E4M3 ? 8 : 15;

    internal static int MantissaBits(Float8Format format) => format == Float8Format.E4M3 ? 3 : 2;

    private static byte Below(uint bits, int largestExponent, int mantissaBits, ScaleRounding rounding)
    {
        if (bits >= Infinity) return (byte)Nan;
        if (rounding == ScaleRounding.Even) bits += 1u << (22 - mantissaBits);
        if (bits >= Infinity) return (byte)Nan;
        var exponent = (int)(bits >> 23) + (rounding == ScaleRounding.Ceil && (bits & Mantissa) != 0 ? 1 : 0);
        return (byte)Math.Max(exponent - largestExponent, 0);
    }
}
