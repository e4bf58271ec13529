using System.Runtime.Intrinsics;
using Titan.Kernels.Aten;
using Titan.Kernels.Cuda;
using Titan.Kernels.Simd;
using static TorchSharp.torch;

namespace Titan.Kernels.ModelOps;

/// <summary>Rotated vectors.</summary>
/// <param name="Y">[B, S, H, D] of x's dtype.</param>
/// <param name="Amax">fp32 [P], the magnitudes whose maximum is the amax of Y; null if not asked for.</param>
public sealed record RotaryResult(Tensor Y, Tensor? Amax);

/// <summary>
/// Rotary embedding of adjacent pairs (Su et al., 2021) in one pass, in fp32: (x, y) at position p to (x cos p - y sin p, x sin p + y cos p); tensors in, tensors out, no
/// autograd. Vectors may lie anywhere, each of them whole: what attention's gradient looks like, [B, H, S, D] seen as [B, S, H, D], is read as it lies.
/// </summary>
public static class RotaryKernel
{
    /// <summary>Whether it takes x: fp32 or bf16, on the CPU or a GPU.</summary>
    public static bool Covers(Tensor x) => Operands.Covered(x);

    /// <summary>Rotates by the positions' angles.</summary>
    /// <param name="x">[B, S, H, D] of any strides, D contiguous (else it is copied); S no longer than the table, D the table's width.</param>
    /// <param name="table">Cosines and sines.</param>
    /// <param name="backward">Rotates by the opposite angles, which is the gradient.</param>
    /// <param name="headsFirst">Whether the result lies in memory as [B, H, S, D]; as [B, S, H, D] otherwise. Its shape is x's either way.</param>
    /// <param name="wantsAmax">Whether the amax of the result is wanted.</param>
    /// <exception cref="ArgumentException">x does not fit the table.</exception>
    public static RotaryResult Rotate(Tensor x, RotaryTable table, bool backward = false, bool headsFirst = false, bool wantsAmax = false)
    {
        if (x.dim() != 4 || x.Sizes()[3] != table.Width || x.Sizes()[1] > table.Length)
            throw new ArgumentException($"rotary: x [{string.Join(", ", x.shape)}]; expected [B, S, H, {table.Width}] with S up to {table.Length}");
        Operands.AreCovered("rotary", x);
        if (x.device_type == TorchSharp.DeviceType.CUDA)
        {
            var (y, amax) = CudaModelOps.Shared.Rotary(x, table.Cosines, table.Sines, backward, headsFirst, wantsAmax);
            return new RotaryResult(y, amax);
        }

        var sign = backward ? -1f : 1f;
        using var scope = NewDisposeScope();
        var source = x.stride(3) == 1 ? x : x.contiguous();
        var result = x.dtype == ScalarType.Float32
            ? Rotate<Float32Element>(source, table, sign, headsFirst, SimdPaths.Best, wantsAmax)
            : Rotate<BFloat16Element>(source, table, sign, headsFirst, SimdPaths.Best, wantsAmax);
        Operands.Keep(result.Y, result.Amax);
        return result;
    }

    internal static unsafe RotaryResult Rotate<TElement>(Tensor x, RotaryTable table, float sign, bool headsFirst, SimdPath path, bool wantsAmax)
        where TElement : struct, IElement
    {
        long batch = x.Sizes()[0], length = x.Sizes()[1], heads = x.Sizes()[2], width = x.Sizes()[3];
        var y = Memory(x, headsFirst);
        byte* from = CpuMemory.Pointer(x), to = CpuMemory.Pointer(y);
        long[] source = x.stride(), target = y.stride();
        var parts = Parts.Count(batch * length, heads * width);
        var amax = AmaxParts.For(wantsAmax, parts);
        Parts.Run(parts, batch * length, (part, start, count) =>
        {
            fixed (float* cosines = table.Cos, sines = table.Sin)
            {
                for (var row = start; row < start + count; row++)
                {
                    var position = row % length;
                    float* cos = cosines + position * width, sin = sines + position * width;
                    for (var head = 0L; head < heads; head++)
                    {
                        var at = to + (row / length * target[0] + position * target[1] + head * target[2]) * TElement.Size;
                        Vector<TElement>(from + (row / length * source[0] + position * source[1] + head * source[2]) * TElement.Size, at, cos, sin, width, sign, path);
                        amax.Include<TElement>(part, at, width, path);
                    }
                }
            }
        });
        GC.KeepAlive(x);
        return new RotaryResult(y, amax.Tensor);
    }

    /// <summary>Room for a result, [B, S, H, D] by its shape.</summary>
    internal static Tensor Memory(Tensor x, bool headsFirst) => headsFirst
        ? empty([x.Sizes()[0], x.Sizes()[2], x.Sizes()[1], x.Sizes()[3]], dtype: x.dtype, device: x.device).transpose(1, 2)
        : empty(x.Sizes(), dtype: x.dtype, device: x.device);

    private static unsafe void Vector<TElement>(byte* source, byte* target, float* cos, float* sin, long width, float sign, SimdPath path) where TElement : struct, IElement
    {
        long i = 0;
        if (path != SimdPath.Portable)
        {
            for (; i + 32 <= width; i += 32)
            {
                var (a, b, c, d) = TElement.Load32(source, i);
                TElement.Store16(target, i, Turn(a, cos + i, sin + i, sign), Turn(b, cos + i + 8, sin + i + 8, sign));
                TElement.Store16(target, i + 16, Turn(c, cos + i + 16, sin + i + 16, sign), Turn(d, cos + i + 24, sin + i + 24, sign));
            }
        }

        for (; i < width; i += 2)
        {
            float x = TElement.Load(source, i), y = TElement.Load(source, i + 1), s = sin[i + 1] * sign;
            TElement.Store(target, i, x * cos[i] - y * s);
            TElement.Store(target, i + 1, x * s + y * cos[i]);
        }
    }

    private static unsafe Vector256<float> Turn(Vector256<float> pairs, float* cos, float* sin, float sign)
    {
        var swapped = Vector256.Shuffle(pairs, Vector256.Create(1, 0, 3, 2, 5, 4, 7, 6));
        return pairs * Vector256.Load(cos) + swapped * (Vector256.Load(sin) * sign);
    }
}
