using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Titan.Abstractions;
using Titan.Kernels.Cuda;
using Titan.Kernels.Simd;
using static TorchSharp.torch;

namespace Titan.Kernels.Fused;

/// <summary>
/// silu(a) · b in one pass, computed in fp32 and rounded once (Shazeer, 2020). With s = sigmoid(a):
/// <code>
/// y  = a · s · b
/// da = g · b · s · (1 + a · (1 - s))
/// db = g · a · s
/// </code>
/// Kept for backward: a and b. All shapes alike.
/// </summary>
public sealed class FusedSwiGlu : GuardedFunction
{
    private FusedSwiGlu() { }

    /// <summary>silu(a) · b.</summary>
    public static Tensor Multiply(Tensor a, Tensor b)
    {
        if (!a.shape.AsSpan().SequenceEqual(b.shape) || a.dtype != b.dtype)
            throw new ArgumentException($"swiglu: {a.dtype} [{string.Join(", ", a.shape)}] and {b.dtype} [{string.Join(", ", b.shape)}]; expected two of one shape and dtype");
        if (CpuMemory.Covers(a.dtype, a.device_type) || CpuMemory.IsForCuda(a.dtype, a.device_type)) return new FusedSwiGlu().Apply(a, b);
        using var gate = nn.functional.silu(a);
        return gate * b;
    }

    /// <inheritdoc />
    protected override Tensor Forward(Tensor[] inputs)
    {
        Tensor a = inputs[0].contiguous(), b = inputs[1].contiguous();
        SaveForBackward(a, b);
        if (a.device_type == TorchSharp.DeviceType.CUDA) return CudaModelOps.Shared.SwiGlu(a, b);
        return a.dtype == ScalarType.Float32 ? Forward<Float32Element>(a, b, SimdPaths.Best) : Forward<BFloat16Element>(a, b, SimdPaths.Best);
    }

    /// <inheritdoc />
    protected override Tensor?[] Backward(Tensor gradient)
    {
        Tensor a = Saved(0), b = Saved(1);
        var g = gradient.contiguous();
        var (da, db) = g.device_type == TorchSharp.DeviceType.CUDA ? CudaModelOps.Shared.SwiGluBackward(g, a, b)
            : g.dtype == ScalarType.Float32 ? Backward<Float32Element>(g, a, b, SimdPaths.Best) : Backward<BFloat16Element>(g, a, b, SimdPaths.Best);
        return [da, db];
    }

    internal static unsafe Tensor Forward<TElement>(Tensor a, Tensor b, SimdPath path) where TElement : struct, IElement
    {
        var y = empty(a.shape, dtype: a.dtype);
        byte* first = CpuMemory.Pointer(a), second = CpuMemory.Pointer(b), target = CpuMemory.Pointer(y);
        Parts.Split(a.numel(), 4, (_, start, count) =>
        {
            long i = start, end = start + count;
            if (path != SimdPath.Portable)
            {
                // No more at a time: the constants of two exponentials fill the registers.
                for (; i + 16 <= end; i += 16)
                {
                    Vector256<float> a0 = TElement.Load8(first, i), a1 = TElement.Load8(first, i + 8);
                    TElement.Store16(target, i, a0 * Sigmoid(a0) * TElement.Load8(second, i), a1 * Sigmoid(a1) * TElement.Load8(second, i + 8));
                }
            }

            for (; i < end; i++)
            {
                var x = TElement.Load(first, i);
                TElement.Store(target, i, x * Sigmoid(x) * TElement.Load(second, i));
            }
        });
        GC.KeepAlive(a);
        GC.KeepAlive(b);
        return y;
    }

    internal static unsafe (Tensor DA, Tensor DB) Backward<TElement>(Tensor g, Tensor a, Tensor b, SimdPath path) where TElement : struct, IElement
    {
        Tensor da = empty(a.shape, dtype: a.dtype), db = empty(a.shape, dtype: a.dtype);
        byte* gradients = CpuMemory.Pointer(g), first = CpuMemory.Pointer(a), second = CpuMemory.Pointer(b), targetA = CpuMemory.Pointer(da), targetB = CpuMemory.Pointer(db);
        Parts.Split(a.numel(), 4, (_, start, count) =>
        {
            long i = start, end = start + count;
            if (path != SimdPath.Portable)
            {
                for (; i + 16 <= end; i += 16)
                {
                    Vector256<float> a0 = TElement.Load8(first, i), a1 = TElement.Load8(first, i + 8), s0 = Sigmoid(a0), s1 = Sigmoid(a1);
                    Vector256<float> g0 = TElement.Load8(gradients, i), g1 = TElement.Load8(gradients, i + 8);
                    TElement.Store16(targetA, i, Slope(g0, a0, TElement.Load8(second, i), s0), Slope(g1, a1, TElement.Load8(second, i + 8), s1));
                    TElement.Store16(targetB, i, g0 * a0 * s0, g1 * a1 * s1);
                }
            }

            for (; i < end; i++)
            {
                float gi = TElement.Load(gradients, i), ai = TElement.Load(first, i), s = Sigmoid(ai);
                TElement.Store(targetA, i, gi * TElement.Load(second, i) * s * (1 + ai * (1 - s)));
                TElement.Store(targetB, i, gi * ai * s);
            }
        });
        GC.KeepAlive(g);
        GC.KeepAlive(a);
        GC.KeepAlive(b);
        return (da, db);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Slope(Vector256<float> g, Vector256<float> a, Vector256<float> b, Vector256<float> s) =>
        g * b * s * (Vector256<float>.One + a * (Vector256<float>.One - s));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Sigmoid(Vector256<float> x) => Vector256<float>.One / (Vector256<float>.One + Exponential.Of(-x));

    private static float Sigmoid(float x) => 1 / (1 + MathF.Exp(-x));
}
