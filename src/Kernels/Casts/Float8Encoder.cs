using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Titan.Kernels.Casts;

/// <summary>
/// Scale, clamp and round to float8, nearest even, on bit patterns. Numbers in the format's normal range round by adding half a unit in the last place and cutting;
/// smaller ones by adding a power of two whose own last place is the format's smallest step, which lets the FPU round.
/// </summary>
internal static unsafe class Float8Encoder
{
    private const uint Infinity = 0x7f800000;

    public static void FromFloat32(float* source, byte* target, long count, float scale, bool e4m3)
    {
        var format = e4m3 ? Parameters.E4M3 : Parameters.E5M2;
        long i = 0;
        for (; i + 64 <= count; i += 64)
        {
            var a = Encode(Vector512.Load(source + i) * scale, format);
            var b = Encode(Vector512.Load(source + i + 16) * scale, format);
            var c = Encode(Vector512.Load(source + i + 32) * scale, format);
            var d = Encode(Vector512.Load(source + i + 48) * scale, format);
            Vector512.Narrow(Vector512.Narrow(a, b), Vector512.Narrow(c, d)).Store(target + i);
        }

        for (; i < count; i++) target[i] = Encode(source[i] * scale, format);
    }

    public static void FromBFloat16(ushort* source, byte* target, long count, float scale, bool e4m3)
    {
        var format = e4m3 ? Parameters.E4M3 : Parameters.E5M2;
        long i = 0;
        for (; i + 64 <= count; i += 64)
        {
            var (al, ah) = Vector512.Widen(Vector512.Load(source + i));
            var (bl, bh) = Vector512.Widen(Vector512.Load(source + i + 32));
            var a = Encode((al << 16).AsSingle() * scale, format);
            var b = Encode((ah << 16).AsSingle() * scale, format);
            var c = Encode((bl << 16).AsSingle() * scale, format);
            var d = Encode((bh << 16).AsSingle() * scale, format);
            Vector512.Narrow(Vector512.Narrow(a, b), Vector512.Narrow(c, d)).Store(target + i);
        }

        for (; i < count; i++) target[i] = Encode(BitConverter.UInt32BitsToSingle((uint)source[i] << 16) * scale, format);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<uint> Encode(Vector512<float> x, in Parameters format)
    {
        var bits = x.AsUInt32();
        var sign = (bits >>> 24) & Vector512.Create(0x80u);
        var magnitude = bits & Vector512.Create(0x7fffffffu);
        var isNan = Vector512.GreaterThan(magnitude, Vector512.Create(Infinity));
        magnitude = Vector512.Min(magnitude, Vector512.Create(format.Max));
        var small = (magnitude.AsSingle() + Vector512.Create(format.Denormal).AsSingle()).AsUInt32() - Vector512.Create(format.Denormal);
        var odd = (magnitude >>> format.Shift) & Vector512.Create(1u);
        var normal = (magnitude + Vector512.Create(format.Half) + odd - Vector512.Create(format.Bias)) >>> format.Shift;
        var code = Vector512.ConditionalSelect(Vector512.LessThan(magnitude, Vector512.Create(format.SmallestNormal)), small, normal);
        return Vector512.ConditionalSelect(isNan, Vector512.Create(0x7fu), code) | sign;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static byte Encode(float x, in Parameters format)
    {
        var bits = BitConverter.SingleToUInt32Bits(x);
        var sign = (bits >> 24) & 0x80;
        var magnitude = bits & 0x7fffffff;
        if (magnitude > Infinity) return (byte)(sign | 0x7f);
        magnitude = Math.Min(magnitude, format.Max);
        if (magnitude < format.SmallestNormal)
        {
            var sum = BitConverter.UInt32BitsToSingle(magnitude) + BitConverter.UInt32BitsToSingle(format.Denormal);
            return (byte)(sign | (BitConverter.SingleToUInt32Bits(sum) - format.Denormal));
        }

        return (byte)(sign | ((magnitude + format.Half + ((magnitude >> format.Shift) & 1) - format.Bias) >> format.Shift));
    }

    /// <summary>fp32 bit patterns: the largest value, the smallest normal value, the power of two that rounds subnormals; and the shape of the mantissa.</summary>
    private readonly record struct Parameters(uint Max, uint SmallestNormal, uint Denormal, int Shift, uint Half, uint Bias)
    {
        public static Parameters E4M3 { get; } = new(0x43e00000, 0x3c800000, 0x46800000, 20, 0x7ffff, (127u - 7) << 23);

        public static Parameters E5M2 { get; } = new(0x47600000, 0x38800000, 0x43000000, 21, 0xfffff, (127u - 15) << 23);
    }
}
