using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Titan.Kernels.Aten;
using Titan.Kernels.Cuda;
using Titan.Kernels.Simd;
using static TorchSharp.torch;

namespace Titan.Kernels.ModelOps;

/// <summary>silu(a) · b.</summary>
/// <param name="Y">Of a's shape and dtype.</param>
/// <param name="Amax">fp32 [P], the magnitudes whose maximum is the amax of Y; null if not asked for.</param>
public sealed record SwiGluResult(Tensor Y, Tensor? Amax);

/// <summary>The gradients of silu(a) · b.</summary>
/// <param name="A">Of a's shape and dtype.</param>
/// <param name="B">Likewise.</param>
/// <param name="AmaxOfA">fp32 [P], the magnitudes whose maximum is the amax of A; null if not asked for.</param>
/// <param name="AmaxOfB">The same of B.</param>
public sealed record SwiGluGradients(Tensor A, Tensor B, Tensor? AmaxOfA, Tensor? AmaxOfB);

/// <summary>
/// silu(a) · b in one pass, in fp32, rounded once (Shazeer, 2020); tensors in, tensors out, no autograd. With s = sigmoid(a):
/// <code>
/// y  = a · s · b
/// da = g · b · s · (1 + a · (1 - s))
/// db = g · a · s
/// </code>
/// </summary>
public static class SwiGluKernel
{
    /// <summary>Whether it takes x: fp32 or bf16, on the CPU or a GPU.</summary>
    public static bool Covers(Tensor x) => Operands.Covered(x);

    /// <summary>silu(a) · b.</summary>
    /// <param name="a">[...] fp32 or bf16.</param>
    /// <param name="b">As a.</param>
    /// <param name="wantsAmax">Whether the amax of the result is wanted.</param>
    /// <exception cref="ArgumentException">The operands do not fit.</exception>
    public static SwiGluResult Forward(Tensor a, Tensor b, bool wantsAmax = false)
    {
        Operands.AreCovered("swiglu", a);
        Operands.AreAlike("swiglu", a, b);
        if (a.device_type == TorchSharp.DeviceType.CUDA)
        {
            var (y, amax) = CudaModelOps.Shared.SwiGlu(a, b, wantsAmax);
            return new SwiGluResult(y, amax);
        }

        using var scope = NewDisposeScope();
        Tensor first = a.contiguous(), second = b.contiguous();
        var result = a.dtype == ScalarType.Float32
            ? Forward<Float32Element>(first, second, SimdPaths.Best, wantsAmax)
            : Forward<BFloat16Element>(first, second, SimdPaths.Best, wantsAmax);
        Operands.Keep(result.Y, result.Amax);
        return result;
    }

    /// <summary>The gradients of <see cref="Forward(Tensor, Tensor, bool)"/>.</summary>
    /// <param name="g">The gradient of the result, as a.</param>
    /// <param name="a">As in forward.</param>
    /// <param name="b">As in forward.</param>
    /// <param name="wantsAmax">Whether the amaxes of both gradients are wanted.</param>
    /// <exception cref="ArgumentException">The operands do not fit.</exception>
    public static SwiGluGradients Backward(Tensor g, Tensor a, Tensor b, bool wantsAmax = false)
    {
        Operands.AreCovered("swiglu backward", a);
        Operands.AreAlike("swiglu backward", a, b);
        Operands.AreAlike("swiglu backward", a, g);
        if (a.device_type == TorchSharp.DeviceType.CUDA)
        {
            var (da, db, amaxOfA, amaxOfB) = CudaModelOps.Shared.SwiGluBackward(g, a, b, wantsAmax);
            return new SwiGluGradients(da, db, amaxOfA, amaxOfB);
        }

        using var scope = NewDisposeScope();
        Tensor gradient = g.contiguous(), first = a.contiguous(), second = b.contiguous();
        var result = a.dtype == ScalarType.Float32
            ? Backward<Float32Element>(gradient, first, second, SimdPaths.Best, wantsAmax)
            : Backward<BFloat16Element>(gradient, first, second, SimdPaths.Best, wantsAmax);
        Operands.Keep(result.A, result.B, result.AmaxOfA, result.AmaxOfB);
        return result;
    }

    internal static unsafe SwiGluResult Forward<TElement>(Tensor a, Tensor b, SimdPath path, bool wantsAmax) where TElement : struct, IElement
    {
        var y = empty(a.Sizes(), dtype: a.dtype);
        byte* first = CpuMemory.Pointer(a), second = CpuMemory.Pointer(b), target = CpuMemory.Pointer(y);
        var parts = Parts.Count(a.numel(), ElementsOfWork);
        var amax = AmaxParts.For(wantsAmax, parts);
        Parts.Run(parts, a.numel(), (part, start, count) =>
        {
            for (long at = start, end = start + count; at < end; at += AmaxParts.Stretch)
            {
                var length = Math.Min(AmaxParts.Stretch, end - at);
                byte* to = target + at * TElement.Size;
                Gate<TElement>(first + at * TElement.Size, second + at * TElement.Size, to, length, path);
                amax.Include<TElement>(part, to, length, path);
            }
        });
        GC.KeepAlive(a);
        GC.KeepAlive(b);
        return new SwiGluResult(y, amax.Tensor);
    }

    internal static unsafe SwiGluGradients Backward<TElement>(Tensor g, Tensor a, Tensor b, SimdPath path, bool wantsAmax) where TElement : struct, IElement
    {
        Tensor da = empty(a.Sizes(), dtype: a.dtype), db = empty(a.shape, dtype: a.dtype);
        byte* gradients = CpuMemory.Pointer(g), first = CpuMemory.Pointer(a), second = CpuMemory.Pointer(b), targetA = CpuMemory.Pointer(da), targetB = CpuMemory.Pointer(db);
        var parts = Parts.Count(a.numel(), ElementsOfWork);
        AmaxParts amaxOfA = AmaxParts.For(wantsAmax, parts), amaxOfB = AmaxParts.For(wantsAmax, parts);
        Parts.Run(parts, a.numel(), (part, start, count) =>
        {
            for (long at = start, end = start + count; at < end; at += AmaxParts.Stretch)
            {
                var length = Math.Min(AmaxParts.Stretch, end - at);
                var offset = at * TElement.Size;
                Gradients<TElement>(gradients + offset, first + offset, second + offset, targetA + offset, targetB + offset, length, path);
                amaxOfA.Include<TElement>(part, targetA + offset, length, path);
                amaxOfB.Include<TElement>(part, targetB + offset, length, path);
            }
        });
        GC.KeepAlive(g);
        GC.KeepAlive(a);
        GC.KeepAlive(b);
        return new SwiGluGradients(da, db, amaxOfA.Tensor, amaxOfB.Tensor);
    }

    /// <summary>An exponential and a division take as long as four elements of a plain kernel.</summary>
    private const long ElementsOfWork = 4;

    private static unsafe void Gate<TElement>(byte* a, byte* b, byte* target, long count, SimdPath path) where TElement : struct, IElement
    {
        long i = 0;
        if (path == SimdPath.Vector512)
        {
            for (; i + 16 <= count; i += 16)
            {
                var x = TElement.Load16(a, i);
                TElement.Store16(target, i, x * Sigmoid(x) * TElement.Load16(b, i));
            }
        }
        else if (path == SimdPath.Vector256)
        {
            // No more at a time: the constants of two exponentials fill the registers.
            for (; i + 16 <= count; i += 16)
            {
                Vector256<float> x = TElement.Load8(a, i), y = TElement.Load8(a, i + 8);
                TElement.Store16(target, i, x * Sigmoid(x) * TElement.Load8(b, i), y * Sigmoid(y) * TElement.Load8(b, i + 8));
            }
        }

        for (; i < count; i++)
        {
            var x = TElement.Load(a, i);
            TElement.Store(target, i, x * Sigmoid(x) * TElement.Load(b, i));
        }
    }

    private static unsafe void Gradients<TElement>(byte* g, byte* a, byte* b, byte* da, byte* db, long count, SimdPath path) where TElement : struct, IElement
    {
        long i = 0;
        if (path == SimdPath.Vector512)
        {
            for (; i + 16 <= count; i += 16)
            {
                Vector512<float> x = TElement.Load16(a, i), s = Sigmoid(x), d = TElement.Load16(g, i);
                TElement.Store16(da, i, Slope(d, x, TElement.Load16(b, i), s));
                TElement.Store16(db, i, d * x * s);
            }
        }
        else if (path == SimdPath.Vector256)
        {
            for (; i + 16 <= count; i += 16)
            {
                Vector256<float> a0 = TElement.Load8(a, i), a1 = TElement.Load8(a, i + 8), s0 = Sigmoid(a0), s1 = Sigmoid(a1);
                Vector256<float> g0 = TElement.Load8(g, i), g1 = TElement.Load8(g, i + 8);
                TElement.Store16(da, i, Slope(g0, a0, TElement.Load8(b, i), s0), Slope(g1, a1, TElement.Load8(b, i + 8), s1));
                TElement.Store16(db, i, g0 * a0 * s0, g1 * a1 * s1);
            }
        }

        for (; i < count; i++)
        {
            float d = TElement.Load(g, i), x = TElement.Load(a, i), s = Sigmoid(x);
            TElement.Store(da, i, d * TElement.Load(b, i) * s * (1 + x * (1 - s)));
            TElement.Store(db, i, d * x * s);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Slope(Vector256<float> g, Vector256<float> a, Vector256<float> b, Vector256<float> s) =>
        g * b * s * (Vector256<float>.One + a * (Vector256<float>.One - s));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Slope(Vector512<float> g, Vector512<float> a, Vector512<float> b, Vector512<float> s) =>
        g * b * s * (Vector512<float>.One + a * (Vector512<float>.One - s));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Sigmoid(Vector256<float> x) => Vector256<float>.One / (Vector256<float>.One + Exponential.Of(-x));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Sigmoid(Vector512<float> x) => Vector512<float>.One / (Vector512<float>.One + Exponential.Of(-x));

    private static float Sigmoid(float x) => 1 / (1 + MathF.Exp(-x));
}
