using Titan.Abstractions;
using Titan.Kernels.Aten;
using static TorchSharp.torch;

namespace Titan.Kernels.Casts;

/// <summary>The casts in one pass each. What the CPU code does not cover (a device, a scale per row) goes the plain way, with the same result.</summary>
/// <param name="path">How wide; all give the same bits.</param>
internal sealed class FusedCasts(SimdPath path) : ICastKernels
{
    /// <summary>Below this a second thread costs more than it gains.</summary>
    private const long ElementsPerThread = 1 << 19;

    public string Name => "fused";

    public unsafe Tensor Amax(Tensor x)
    {
        if (!Covers(x) || x.numel() == 0) return CastKernels.Plain.Amax(x);
        var source = Pointer(x);
        var wide = x.dtype == ScalarType.Float32;
        var parts = new uint[Environment.ProcessorCount];
        Split(x.numel(), (index, start, count) =>
            parts[index] = wide ? Magnitude.OfFloat32((uint*)source + start, count, path) : (uint)Magnitude.OfBFloat16((ushort*)source + start, count, path) << 16);
        GC.KeepAlive(x);
        // Magnitudes compare as integers, and a NaN is above every number.
        return tensor(BitConverter.UInt32BitsToSingle(parts.Max()));
    }

    public unsafe Tensor Cast(Tensor x, Tensor scale, Float8Format format)
    {
        if (!Covers(x) || scale.numel() != 1 || scale.dtype != ScalarType.Float32 || Float8Codec.Of(format) is not { } codec)
            return CastKernels.Plain.Cast(x, scale, format);
        var factor = scale.item<float>();
        var result = empty(x.shape, dtype: format.Type);
        byte* source = Pointer(x), target = Pointer(result);
        var wide = x.dtype == ScalarType.Float32;
        Split(x.numel(), (_, start, count) =>
        {
            if (wide) Float8Encoder.FromFloat32((float*)source + start, target + start, count, factor, codec, path);
            else Float8Encoder.FromBFloat16((ushort*)source + start, target + start, count, factor, codec, path);
        });
        GC.KeepAlive(x);
        return result;
    }

    public unsafe Tensor Decode(Tensor x)
    {
        if (x.device_type != TorchSharp.DeviceType.CPU || !x.is_contiguous() || CodecOf(x) is not { } codec) return CastKernels.Plain.Decode(x);
        var result = empty(x.shape, dtype: ScalarType.BFloat16);
        byte* source = Pointer(x), target = Pointer(result);
        Split(x.numel(), (_, start, count) => Float8Decoder.Decode(codec, source + start, (ushort*)target + start, count, path));
        GC.KeepAlive(x);
        return result;
    }

    private static Float8Codec? CodecOf(Tensor x) =>
        x.dtype == Float8Format.E4M3.Type ? Float8Codec.E4M3 : x.dtype == Float8Format.E5M2.Type ? Float8Codec.E5M2 : null;

    private static bool Covers(Tensor x) =>
        x.device_type == TorchSharp.DeviceType.CPU && x.is_contiguous() && x.dtype is ScalarType.Float32 or ScalarType.BFloat16;

    private static unsafe byte* Pointer(Tensor x) => (byte*)TensorMemory.Address(x);

    private static void Split(long count, Action<int, long, long> part)
    {
        var threads = (int)Math.Clamp(count / ElementsPerThread, 1, Environment.ProcessorCount);
        if (threads == 1)
        {
            part(0, 0, count);
            return;
        }

        var length = (count + threads - 1) / threads;
        Parallel.For(0, threads, index =>
        {
            var start = index * length;
            if (start < count) part(index, start, Math.Min(length, count - start));
        });
    }
}
