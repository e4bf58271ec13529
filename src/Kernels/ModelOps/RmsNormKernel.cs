using Titan.Kernels.Aten;
using Titan.Kernels.Cuda;
using Titan.Kernels.Simd;
using static TorchSharp.torch;

namespace Titan.Kernels.ModelOps;

/// <summary>Normalised rows, and what their gradient needs.</summary>
/// <param name="Y">[..., D] of x's dtype.</param>
/// <param name="Rstd">fp32 [rows]: r of each row.</param>
/// <param name="Sum">x + residual in x's dtype, [..., D]; null without a residual.</param>
/// <param name="Amax">fp32 [P], the magnitudes whose maximum is the amax of Y; null if not asked for.</param>
public sealed record RmsNormResult(Tensor Y, Tensor Rstd, Tensor? Sum, Tensor? Amax);

/// <summary>The gradients of an RMSNorm.</summary>
/// <param name="X">[..., D]; of a sum, the gradient of both of its terms.</param>
/// <param name="Weight">[D].</param>
/// <param name="Amax">fp32 [P], the magnitudes whose maximum is the amax of X; null if not asked for.</param>
public sealed record RmsNormGradients(Tensor X, Tensor Weight, Tensor? Amax);

/// <summary>
/// RMSNorm over the last dimension, of x or of the sum x + residual, in one pass forward and one backward; tensors in, tensors out, no autograd. In fp32, with
/// r = 1 / sqrt(mean(x²) + eps):
/// <code>
/// y  = x · r · w
/// dx = r · (g · w - x · r² · mean(g · w · x))
/// dw = Σ over rows of g · x · r
/// </code>
/// The sum is rounded to x's dtype before it is normalised, and dx before the gradient that flows past the norm is added to it: as operations of their own would.
/// </summary>
public static class RmsNormKernel
{
    /// <summary>Parts of the rows that the weight's gradient is summed in.</summary>
    private const int Slices = 16;

    /// <summary>Whether it takes x: fp32 or bf16, on the CPU or a GPU.</summary>
    public static bool Covers(Tensor x) => Operands.Covered(x);

    /// <summary>Normalises x, or x + residual.</summary>
    /// <param name="x">[..., D] fp32 or bf16.</param>
    /// <param name="residual">As x; null for none.</param>
    /// <param name="weight">[D] of x's dtype.</param>
    /// <param name="epsilon">Added to the mean square.</param>
    /// <param name="wantsAmax">Whether the amax of the result is wanted.</param>
    /// <exception cref="ArgumentException">The operands do not fit.</exception>
    public static RmsNormResult Forward(Tensor x, Tensor? residual, Tensor weight, double epsilon, bool wantsAmax = false)
    {
        Operands.AreCovered("rms_norm", x);
        Operands.AreRows("rms_norm", x);
        Operands.IsVector("rms_norm", weight, x);
        if (residual is not null) Operands.AreAlike("rms_norm", x, residual);
        if (x.device_type == TorchSharp.DeviceType.CUDA)
        {
            var (y, rstd, sum, amax) = CudaModelOps.Shared.RmsNorm(x, residual, weight, epsilon, wantsAmax);
            return new RmsNormResult(y, rstd, sum, amax);
        }

        using var scope = NewDisposeScope();
        Tensor rows = x.contiguous(), w = weight.contiguous();
        var other = residual?.contiguous();
        var result = x.dtype == ScalarType.Float32
            ? Forward<Float32Element>(rows, other, w, epsilon, SimdPaths.Best, wantsAmax)
            : Forward<BFloat16Element>(rows, other, w, epsilon, SimdPaths.Best, wantsAmax);
        Operands.Keep(result.Y, result.Rstd, result.Sum, result.Amax);
        return result;
    }

    /// <summary>The gradients of <see cref="Forward(Tensor, Tensor?, Tensor, double, bool)"/>.</summary>
    /// <param name="g">[..., D], the gradient of y.</param>
    /// <param name="x">What was normalised: x, or the sum.</param>
    /// <param name="weight">As in forward.</param>
    /// <param name="rstd">From forward.</param>
    /// <param name="sumGradient">[..., D], the gradient of the sum that flows past the norm; null for none.</param>
    /// <param name="wantsAmax">Whether the amax of the gradient of x is wanted.</param>
    /// <exception cref="ArgumentException">The operands do not fit.</exception>
    public static RmsNormGradients Backward(Tensor g, Tensor x, Tensor weight, Tensor rstd, Tensor? sumGradient = null, bool wantsAmax = false)
    {
        Operands.AreCovered("rms_norm backward", x);
        Operands.AreRows("rms_norm backward", x);
        Operands.AreAlike("rms_norm backward", x, g);
        Operands.IsVector("rms_norm backward", weight, x);
        if (sumGradient is not null) Operands.AreAlike("rms_norm backward", x, sumGradient);
        if (rstd.dtype != ScalarType.Float32 || rstd.numel() != x.numel() / x.Sizes()[^1] || rstd.device_type != x.device_type)
            throw new ArgumentException($"rms_norm backward: rstd {rstd.dtype} [{string.Join(", ", rstd.shape)}] on {rstd.device}; expected forward's");
        if (x.device_type == TorchSharp.DeviceType.CUDA)
        {
            var (dx, dw, amax) = CudaModelOps.Shared.RmsNormBackward(g, x, weight, rstd, sumGradient, wantsAmax);
            return new RmsNormGradients(dx, dw, amax);
        }

        using var scope = NewDisposeScope();
        Tensor gradient = g.contiguous(), rows = x.contiguous(), w = weight.contiguous(), factors = rstd.contiguous();
        var past = sumGradient?.contiguous();
        var result = x.dtype == ScalarType.Float32
            ? Backward<Float32Element>(gradient, rows, w, factors, past, SimdPaths.Best, wantsAmax)
            : Backward<BFloat16Element>(gradient, rows, w, factors, past, SimdPaths.Best, wantsAmax);
        Operands.Keep(result.X, result.Weight, result.Amax);
        return result;
    }

    internal static unsafe RmsNormResult Forward<TElement>(Tensor x, Tensor? residual, Tensor weight, double epsilon, SimdPath path, bool wantsAmax)
        where TElement : struct, IElement
    {
        long width = x.Sizes()[^1], rows = x.numel() / width;
        Tensor y = empty(x.Sizes(), dtype: x.dtype), rstd = empty(rows);
        var sum = residual is null ? null : empty(x.Sizes(), dtype: x.dtype);
        byte* from = CpuMemory.Pointer(x), w = CpuMemory.Pointer(weight), to = CpuMemory.Pointer(y);
        byte* other = residual is null ? null : CpuMemory.Pointer(residual), sums = sum is null ? null : CpuMemory.Pointer(sum);
        var factors = (float*)CpuMemory.Pointer(rstd);
        var parts = Parts.Count(rows, width);
        var amax = AmaxParts.For(wantsAmax, parts);
        Parts.Run(parts, rows, (part, start, count) =>
        {
            for (var r = start; r < start + count; r++)
            {
                var at = r * width * TElement.Size;
                var source = from + at;
                if (sums is not null)
                {
                    RmsNormRows.Add<TElement>(source, other + at, sums + at, width, path);
                    source = sums + at;
                }

                var factor = (float)(1 / Math.Sqrt(RmsNormRows.SumOfSquares<TElement>(source, width, path) / width + epsilon));
                factors[r] = factor;
                RmsNormRows.Scale<TElement>(source, w, to + at, factor, width, path);
                amax.Include<TElement>(part, to + at, width, path);
            }
        });
        GC.KeepAlive(x);
        GC.KeepAlive(residual);
        GC.KeepAlive(weight);
        return new RmsNormResult(y, rstd, sum, amax.Tensor);
    }

    internal static unsafe RmsNormGradients Backward<TElement>(Tensor g, Tensor x, Tensor weight, Tensor rstd, Tensor? sumGradient, SimdPath path, bool wantsAmax)
        where TElement : struct, IElement
    {
        long width = x.Sizes()[^1], rows = x.numel() / width;
        var dx = empty(x.Sizes(), dtype: x.dtype);
        byte* gradients = CpuMemory.Pointer(g), from = CpuMemory.Pointer(x), w = CpuMemory.Pointer(weight), to = CpuMemory.Pointer(dx);
        var past = sumGradient is null ? null : CpuMemory.Pointer(sumGradient);
        var factors = (float*)CpuMemory.Pointer(rstd);
        // One sum per slice of rows and column, added up in the order of the slices: the same result whatever the number of threads.
        using var sums = zeros(Slices, width);
        var partial = (float*)CpuMemory.Pointer(sums);
        var length = (rows + Slices - 1) / Slices;
        var parts = Parts.Count(Slices, length * width);
        var amax = AmaxParts.For(wantsAmax, parts);
        Parts.Run(parts, Slices, (part, firstSlice, slices) =>
        {
            for (var r = firstSlice * length; r < Math.Min(rows, (firstSlice + slices) * length); r++)
            {
                var at = r * width * TElement.Size;
                RmsNormRows.Gradient<TElement>(gradients + at, from + at, w, to + at, partial + r / length * width, factors[r], width, path);
                if (past is not null) RmsNormRows.Add<TElement>(to + at, past + at, to + at, width, path);
                amax.Include<TElement>(part, to + at, width, path);
            }
        });
        GC.KeepAlive(g);
        GC.KeepAlive(x);
        GC.KeepAlive(rstd);
        GC.KeepAlive(sumGradient);
        GC.KeepAlive(weight);
        using var total = sums.sum(0L);
        return new RmsNormGradients(dx, total.to(weight.dtype), amax.Tensor);
    }
}
