using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Titan.Kernels.Simd;

namespace Titan.Kernels.Casts;

/// <summary>Float8 codes, read as the values that they stand for.</summary>
internal readonly unsafe struct Float8Element<TCodec> : ISourceElement where TCodec : struct, IFloat8Codec
{
    public static int Size => 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Load(byte* source, long index) => BitConverter.UInt32BitsToSingle((uint)TCodec.Table[source[index]] << 16);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Load8(byte* source, long index) => Float8Decoder.Load8<TCodec>(source + index);
}
