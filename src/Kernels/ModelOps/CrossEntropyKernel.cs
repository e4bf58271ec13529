using Titan.Kernels.Aten;
using Titan.Kernels.Cuda;
using Titan.Kernels.Simd;
using static TorchSharp.torch;

namespace Titan.Kernels.ModelOps;

/// <summary>Whether a cross-entropy makes the gradient of its logits, and where.</summary>
public enum LogitsGradient
{
    /// <summary>Only the loss.</summary>
    None,

    /// <summary>In memory of its own.</summary>
    Apart,

    /// <summary>In place of the logits. Autograd's version of the logits goes up, so that a later use of their old values in a backward is an error.</summary>
    InPlace,
}

/// <summary>A sum of cross-entropies.</summary>
/// <param name="Sum">Over all rows, 0-d fp32.</param>
/// <param name="Gradient">That of factor · sum, of the logits' shape and dtype, without a history; null if not made. In place, it shares the logits' memory.</param>
/// <param name="Amax">fp32 [P], the magnitudes whose maximum is the amax of the gradient; null if not asked for.</param>
public sealed record CrossEntropyResult(Tensor Sum, Tensor? Gradient, Tensor? Amax);

/// <summary>
/// The sum of the tokens' cross-entropies, row by row, loss and gradient together, in fp32; tensors in, tensors out, no autograd.
/// <code>
/// loss         = Σ over rows of log Σ exp(x - max) + max - x[label]
/// d loss / d x = softmax(x) - one-hot(label)
/// </code>
/// A row whose label is -100 counts for nothing. The gradient is rounded to the logits' dtype, multiplied by the factor and rounded again, as by an operation of its own.
/// </summary>
public static class CrossEntropyKernel
{
    /// <summary>The label of a row that does not count.</summary>
    public const long Ignored = -100;

    /// <summary>Whether it takes the logits: fp32 or bf16, on the CPU or a GPU.</summary>
    public static bool Covers(Tensor logits) => Operands.Covered(logits);

    /// <summary>The sum over all rows.</summary>
    /// <param name="logits">[..., V] fp32 or bf16; contiguous if the gradient takes their place.</param>
    /// <param name="labels">int64, one per row: 0 to V - 1, or -100. On the CPU another label is an error, on a GPU its row's loss and gradient are NaN.</param>
    /// <param name="factor">What the gradient is multiplied by: one over the number of labels, for that of a mean.</param>
    /// <param name="gradient">Whether and where the gradient is made.</param>
    /// <param name="wantsAmax">Whether the amax of the gradient is wanted.</param>
    /// <exception cref="ArgumentException">Logits and labels do not fit, or logits to be overwritten are not contiguous.</exception>
    public static CrossEntropyResult Sum(Tensor logits, Tensor labels, float factor, LogitsGradient gradient, bool wantsAmax = false)
    {
        Operands.AreCovered("cross_entropy", logits);
        Operands.AreRows("cross_entropy", logits);
        if (logits.dim() < 2 || labels.dtype != ScalarType.Int64 || labels.numel() != logits.numel() / logits.Sizes()[^1])
            throw new ArgumentException($"cross_entropy: logits [{string.Join(", ", logits.shape)}], labels {labels.dtype} [{string.Join(", ", labels.shape)}]; expected [..., V] and one int64 per row");
        if (gradient == LogitsGradient.InPlace && !logits.is_contiguous())
            throw new ArgumentException($"cross_entropy: logits [{string.Join(", ", logits.shape)}] are not contiguous; expected contiguous ones, or a gradient apart from them");
        using var scope = NewDisposeScope();
        Tensor source = logits.detach().contiguous(), label = labels.contiguous().view(-1);
        var target = gradient switch
        {
            LogitsGradient.None => null,
            LogitsGradient.InPlace => source,
            _ => empty(logits.Sizes(), dtype: logits.dtype, device: logits.device),
        };
        var (sum, amax) = logits.device_type == TorchSharp.DeviceType.CUDA ? CudaModelOps.Shared.CrossEntropy(source, label, factor, target, wantsAmax)
            : logits.dtype == ScalarType.Float32 ? Sum<Float32Element>(source, label, factor, target, SimdPaths.Best, wantsAmax)
            : Sum<BFloat16Element>(source, label, factor, target, SimdPaths.Best, wantsAmax);
        if (gradient == LogitsGradient.InPlace) RaiseVersion(logits);
        Operands.Keep(sum, target, amax);
        return new CrossEntropyResult(sum, target, amax);
    }

    /// <summary>
    /// A gradient times what came into its backward, in place; a factor of exactly 1, the usual one, costs a look at it. Nobody waits for the device. The magnitudes
    /// follow.
    /// </summary>
    /// <param name="gradient">From <see cref="Sum(Tensor, Tensor, float, LogitsGradient, bool)"/>, contiguous.</param>
    /// <param name="factor">One element, fp32, on the gradient's device.</param>
    /// <param name="amax">The gradient's magnitudes, or null.</param>
    public static void ScaleUnlessOne(Tensor gradient, Tensor factor, Tensor? amax)
    {
        Operands.AreCovered("scale_unless_one", gradient);
        if (factor.numel() != 1 || factor.dtype != ScalarType.Float32 || factor.device_type != gradient.device_type)
            throw new ArgumentException($"scale_unless_one: factor {factor.dtype} [{string.Join(", ", factor.shape)}] on {factor.device}; expected one fp32 element on {gradient.device}");
        if (!gradient.is_contiguous()) throw new ArgumentException("scale_unless_one: expected a contiguous gradient");
        if (gradient.device_type == TorchSharp.DeviceType.CUDA)
        {
            CudaModelOps.Shared.ScaleUnlessOne(gradient, factor, amax);
            return;
        }

        if (factor.item<float>() == 1) return;
        using var scope = NewDisposeScope();
        gradient.mul_(factor);
        // The largest product is that of the largest element, rounded as it.
        amax?.copy_((amax.to(gradient.dtype) * factor.abs()).to(ScalarType.Float32));
    }

    internal static unsafe (Tensor Sum, Tensor? Amax) Sum<TElement>(Tensor logits, Tensor labels, float factor, Tensor? gradient, SimdPath path, bool wantsAmax)
        where TElement : struct, IElement
    {
        long width = logits.Sizes()[^1], rows = logits.numel() / width;
        byte* from = CpuMemory.Pointer(logits), to = gradient is null ? null : CpuMemory.Pointer(gradient);
        var label = (long*)CpuMemory.Pointer(labels);
        for (var r = 0L; r < rows; r++)
            if (label[r] != Ignored && (label[r] < 0 || label[r] >= width)) throw new ArgumentException($"cross_entropy: label {label[r]} in row {r}; expected 0 to {width - 1}, or {Ignored}");
        // Row by row in double, then added in order: the number of threads does not change the sum.
        var losses = new double[rows];
        var parts = Parts.Count(rows, 8 * width);
        var amax = AmaxParts.For(wantsAmax && to is not null, parts);
        Parts.Run(parts, rows, (part, start, count) =>
        {
            fixed (float* exponentials = new float[width])
            {
                for (var r = start; r < start + count; r++)
                {
                    byte* source = from + r * width * TElement.Size, target = to is null ? null : to + r * width * TElement.Size;
                    if (label[r] != Ignored) losses[r] = CrossEntropyRows.Row<TElement>(source, target, exponentials, label[r], factor, width, path);
                    else if (target is not null) new Span<byte>(target, (int)(width * TElement.Size)).Clear();
                    if (target is not null) amax.Include<TElement>(part, target, width, path);
                }
            }
        });
        GC.KeepAlive(logits);
        GC.KeepAlive(labels);
        GC.KeepAlive(gradient);
        return (tensor((float)losses.Sum()), amax.Tensor);
    }

    /// <summary>An operation in place that touches no element: views and their base count versions together.</summary>
    private static void RaiseVersion(Tensor logits)
    {
        using var guard = no_grad();
        using var nothing = logits.view(-1).narrow(0, 0, 0);
        using var same = nothing.zero_();
    }
}
