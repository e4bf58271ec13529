using System.Runtime.Intrinsics;
using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Kernels.Cuda;
using Titan.Kernels.Simd;
using static TorchSharp.torch;

namespace Titan.Kernels.Fused;

/// <summary>
/// RMSNorm over the last dimension in one pass forward and one backward, computed in fp32. With r = 1 / sqrt(mean(x²) + eps):
/// <code>
/// y  = x · r · w
/// dx = r · (g · w - x · r² · mean(g · w · x))
/// dw = Σ over rows of g · x · r
/// </code>
/// Shapes x [..., D], w [D] of x's dtype. Kept for backward: x, w and r, one number a row. What is neither on the CPU nor a GPU, or in fp16, goes the way of <c>aten::rms_norm</c>.
/// </summary>
public sealed class FusedRmsNorm : GuardedFunction
{
    /// <summary>Parts of the rows that the weight's gradient is summed in.</summary>
    private const int Slices = 16;

    private readonly double epsilon;

    private FusedRmsNorm(double epsilon) => this.epsilon = epsilon;

    /// <summary>Normalises x.</summary>
    public static Tensor Normalize(Tensor x, Tensor weight, double epsilon)
    {
        if (x.dim() == 0 || weight.dim() != 1 || weight.shape[0] != x.shape[^1] || weight.dtype != x.dtype)
            throw new ArgumentException($"rms_norm: weight {weight.dtype} [{string.Join(", ", weight.shape)}] does not fit x {x.dtype} [{string.Join(", ", x.shape)}]; expected [D] of x's dtype");
        return (CpuMemory.Covers(x.dtype, x.device_type) || CpuMemory.IsForCuda(x.dtype, x.device_type)) && x.numel() > 0 ? new FusedRmsNorm(epsilon).Apply(x, weight) : AtenGateway.RmsNorm(x, weight, epsilon);
    }

    /// <inheritdoc />
    protected override Tensor Forward(Tensor[] inputs)
    {
        var x = inputs[0].contiguous();
        var weight = inputs[1].contiguous();
        var (y, inverse) = x.device_type == TorchSharp.DeviceType.CUDA ? CudaModelOps.Shared.RmsNorm(x, weight, epsilon)
            : x.dtype == ScalarType.Float32
            ? Forward<Float32Element>(x, weight, epsilon, SimdPaths.Best)
            : Forward<BFloat16Element>(x, weight, epsilon, SimdPaths.Best);
        SaveForBackward(x, weight, inverse);
        return y;
    }

    /// <inheritdoc />
    protected override Tensor?[] Backward(Tensor gradient)
    {
        Tensor x = Saved(0), weight = Saved(1), inverse = Saved(2);
        var g = gradient.contiguous();
        var (dx, dw) = g.device_type == TorchSharp.DeviceType.CUDA ? CudaModelOps.Shared.RmsNormBackward(g, x, weight, inverse)
            : g.dtype == ScalarType.Float32
            ? Backward<Float32Element>(g, x, weight, inverse, SimdPaths.Best)
            : Backward<BFloat16Element>(g, x, weight, inverse, SimdPaths.Best);
        return [dx, dw];
    }

    internal static unsafe (Tensor Y, Tensor Inverse) Forward<TElement>(Tensor x, Tensor weight, double epsilon, SimdPath path) where TElement : struct, IElement
    {
        long width = x.shape[^1], rows = x.numel() / width;
        Tensor y = empty(x.shape, dtype: x.dtype), inverse = empty(rows);
        byte* from = CpuMemory.Pointer(x), w = CpuMemory.Pointer(weight), to = CpuMemory.Pointer(y);
        var factors = (float*)CpuMemory.Pointer(inverse);
        Parts.Split(rows, width, (_, start, count) =>
        {
            for (var r = start; r < start + count; r++)
            {
                byte* source = from + r * width * TElement.Size, target = to + r * width * TElement.Size;
                var factor = (float)(1 / Math.Sqrt(SumOfSquares<TElement>(source, width, path) / width + epsilon));
                factors[r] = factor;
                long i = 0;
                if (path != SimdPath.Portable)
                {
                    for (; i + 32 <= width; i += 32)
                    {
                        var (a, b, c, d) = TElement.Load32(source, i);
                        var (wa, wb, wc, wd) = TElement.Load32(w, i);
                        TElement.Store16(target, i, a * factor * wa, b * factor * wb);
                        TElement.Store16(target, i + 16, c * factor * wc, d * factor * wd);
                    }
                }

                for (; i < width; i++) TElement.Store(target, i, TElement.Load(source, i) * factor * TElement.Load(w, i));
            }
        });
        GC.KeepAlive(x);
        GC.KeepAlive(weight);
        return (y, inverse);
    }

    internal static unsafe (Tensor DX, Tensor DWeight) Backward<TElement>(Tensor g, Tensor x, Tensor weight, Tensor inverse, SimdPath path) where TElement : struct, IElement
    {
        long width = x.shape[^1], rows = x.numel() / width;
        Tensor dx = empty(x.shape, dtype: x.dtype);
        byte* gradients = CpuMemory.Pointer(g), from = CpuMemory.Pointer(x), w = CpuMemory.Pointer(weight), to = CpuMemory.Pointer(dx);
        var factors = (float*)CpuMemory.Pointer(inverse);
        // One sum per slice of rows and column, added up in the order of the slices: the same result whatever the number of threads.
        using var sums = zeros(Slices, width);
        var partial = (float*)CpuMemory.Pointer(sums);
        var length = (rows + Slices - 1) / Slices;
        Parts.Split(Slices, length * width, (_, firstSlice, slices) =>
        {
            for (var r = firstSlice * length; r < Math.Min(rows, (firstSlice + slices) * length); r++)
            {
                var dw = partial + r / length * width;
                byte* gr = gradients + r * width * TElement.Size, xr = from + r * width * TElement.Size, target = to + r * width * TElement.Size;
                float factor = factors[r], inner = Dot<TElement>(gr, xr, w, width, path) / width * factor * factor;
                long i = 0;
                if (path != SimdPath.Portable)
                {
                    for (; i + 32 <= width; i += 32)
                    {
                        var (ga, gb, gc, gd) = TElement.Load32(gr, i);
                        var (xa, xb, xc, xd) = TElement.Load32(xr, i);
                        var (wa, wb, wc, wd) = TElement.Load32(w, i);
                        TElement.Store16(target, i, (ga * wa - xa * inner) * factor, (gb * wb - xb * inner) * factor);
                        TElement.Store16(target, i + 16, (gc * wc - xc * inner) * factor, (gd * wd - xd * inner) * factor);
                        Add(dw + i, ga * xa * factor);
                        Add(dw + i + 8, gb * xb * factor);
                        Add(dw + i + 16, gc * xc * factor);
                        Add(dw + i + 24, gd * xd * factor);
                    }
                }

                for (; i < width; i++)
                {
                    float gi = TElement.Load(gr, i), xi = TElement.Load(xr, i);
                    TElement.Store(target, i, (gi * TElement.Load(w, i) - xi * inner) * factor);
                    dw[i] += gi * xi * factor;
                }
            }
        });
        GC.KeepAlive(g);
        GC.KeepAlive(x);
        GC.KeepAlive(inverse);
        using var total = sums.sum(0L);
        return (dx, total.to(weight.dtype));
    }

    private static unsafe void Add(float* sum, Vector256<float> value) => (Vector256.Load(sum) + value).Store(sum);

    private static unsafe float SumOfSquares<TElement>(byte* source, long width, SimdPath path) where TElement : struct, IElement
    {
        Vector256<float> one = default, two = default;
        long i = 0;
        if (path != SimdPath.Portable)
        {
            for (; i + 32 <= width; i += 32)
            {
                var (a, b, c, d) = TElement.Load32(source, i);
                one += a * a + b * b;
                two += c * c + d * d;
            }
        }

        var sum = Vector256.Sum(one + two);
        for (; i < width; i++) sum += TElement.Load(source, i) * TElement.Load(source, i);
        return sum;
    }

    private static unsafe float Dot<TElement>(byte* g, byte* x, byte* w, long width, SimdPath path) where TElement : struct, IElement
    {
        Vector256<float> one = default, two = default;
        long i = 0;
        if (path != SimdPath.Portable)
        {
            for (; i + 32 <= width; i += 32)
            {
                var (ga, gb, gc, gd) = TElement.Load32(g, i);
                var (xa, xb, xc, xd) = TElement.Load32(x, i);
                var (wa, wb, wc, wd) = TElement.Load32(w, i);
                one += ga * wa * xa + gb * wb * xb;
                two += gc * wc * xc + gd * wd * xd;
            }
        }

        var sum = Vector256.Sum(one + two);
        for (; i < width; i++) sum += TElement.Load(g, i) * TElement.Load(w, i) * TElement.Load(x, i);
        return sum;
    }
}
