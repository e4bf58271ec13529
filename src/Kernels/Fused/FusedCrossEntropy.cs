using System.Runtime.Intrinsics;
using Titan.Abstractions;
using Titan.Kernels.Casts;
using Titan.Kernels.Cuda;
using Titan.Kernels.Simd;
using static TorchSharp.torch;

namespace Titan.Kernels.Fused;

/// <summary>
/// The sum of the tokens' cross-entropies, row by row: loss and gradient are made together, in fp32, while a row is in the cache; of no more than a row per thread
/// there is an fp32 copy. On the CPU the gradient is made only where one is needed.
/// <code>
/// loss         = Σ over rows of log Σ exp(x - max) + max - x[label]
/// d loss / d x = softmax(x) - one-hot(label)
/// </code>
/// Logits [..., V], labels [rows] int64; a row whose label is -100 counts for nothing. Kept for backward: the gradient, in the logits' dtype.
/// </summary>
public sealed class FusedCrossEntropy : GuardedFunction
{
    private FusedCrossEntropy() { }

    private const long Ignored = -100;

    /// <summary>Whether this kernel can read the logits.</summary>
    public static bool Covers(Tensor logits) => CpuMemory.Covers(logits.dtype, logits.device_type) || CpuMemory.IsForCuda(logits.dtype, logits.device_type);

    /// <summary>The sum over all rows, 0-d fp32.</summary>
    public static Tensor Sum(Tensor logits, Tensor labels)
    {
        if (logits.dim() < 2 || labels.dtype != ScalarType.Int64 || labels.numel() != logits.numel() / logits.shape[^1])
            throw new ArgumentException($"cross_entropy: logits [{string.Join(", ", logits.shape)}], labels {labels.dtype} [{string.Join(", ", labels.shape)}]; expected [..., V] and one int64 per row");
        return new FusedCrossEntropy().Apply(logits, labels);
    }

    /// <inheritdoc />
    protected override Tensor Forward(Tensor[] inputs)
    {
        var logits = inputs[0].contiguous();
        var labels = inputs[1].contiguous();
        if (logits.device_type == TorchSharp.DeviceType.CUDA)
        {
            // The kernel overwrites logits by their gradient; whoever gave them may still want them.
            var own = logits.clone();
            var sum = CudaModelOps.Shared.CrossEntropyInPlace(own.view(-1, own.shape[^1]), labels).sum();
            SaveForBackward(own);
            return sum;
        }

        var needsGradient = NeedsGradient(0);
        var (loss, gradient) = logits.dtype == ScalarType.Float32
            ? Forward<Float32Element>(logits, labels, SimdPaths.Best, needsGradient)
            : Forward<BFloat16Element>(logits, labels, SimdPaths.Best, needsGradient);
        if (gradient is not null) SaveForBackward(gradient);
        return tensor((float)loss);
    }

    /// <inheritdoc />
    protected override Tensor?[] Backward(Tensor gradient) => [Saved(0).mul(gradient), null];

    internal static unsafe (double Loss, Tensor? Gradient) Forward<TElement>(Tensor logits, Tensor labels, SimdPath path, bool needsGradient) where TElement : struct, IElement
    {
        long width = logits.shape[^1], rows = logits.numel() / width;
        var gradient = needsGradient ? empty(logits.shape, dtype: logits.dtype) : null;
        byte* from = CpuMemory.Pointer(logits), to = gradient is null ? null : CpuMemory.Pointer(gradient);
        var label = (long*)CpuMemory.Pointer(labels);
        for (var r = 0L; r < rows; r++)
            if (label[r] != Ignored && (label[r] < 0 || label[r] >= width)) throw new ArgumentException($"cross_entropy: label {label[r]} in row {r}; expected 0 to {width - 1}, or {Ignored}");
        // Row by row in double, then added in order: the number of threads does not change the sum.
        var losses = new double[rows];
        Parts.Split(rows, 8 * width, (_, start, count) =>
        {
            fixed (float* exponentials = new float[width])
            {
                for (var r = start; r < start + count; r++)
                {
                    byte* source = from + r * width * TElement.Size, target = to is null ? null : to + r * width * TElement.Size;
                    if (label[r] != Ignored) losses[r] = Row<TElement>(source, target, exponentials, label[r], width, path);
                    else if (target is not null) new Span<byte>(target, (int)(width * TElement.Size)).Clear();
                }
            }
        });
        GC.KeepAlive(logits);
        GC.KeepAlive(labels);
        return (losses.Sum(), gradient);
    }

    private static unsafe double Row<TElement>(byte* source, byte* target, float* exponentials, long label, long width, SimdPath path) where TElement : struct, IElement
    {
        var max = Max<TElement>(source, width, path);
        var sum = Exponentials<TElement>(source, exponentials, max, width, path);
        var at = TElement.Load(source, label);
        if (target is not null)
        {
            var scale = 1 / sum;
            Scaling.Row<Float32Element, TElement, OneFactor>((byte*)exponentials, target, width, new OneFactor(scale), path);
            TElement.Store(target, label, exponentials[label] * scale - 1);
        }

        return Math.Log(sum) + max - at;
    }

    /// <summary>The largest element; NaN is passed over or given back, and is seen by the exponentials either way.</summary>
    private static unsafe float Max<TElement>(byte* source, long width, SimdPath path) where TElement : struct, IElement
    {
        var result = float.NegativeInfinity;
        long i = 0;
        if (path != SimdPath.Portable && width >= 32)
        {
            var best = Vector256.Create(float.NegativeInfinity);
            for (; i + 32 <= width; i += 32)
            {
                var (a, b, c, d) = TElement.Load32(source, i);
                best = Vector256.MaxNative(best, Vector256.MaxNative(Vector256.MaxNative(a, b), Vector256.MaxNative(c, d)));
            }

            for (var k = 0; k < 8; k++) result = MathF.Max(result, best[k]);
        }

        for (; i < width; i++) result = MathF.Max(result, TElement.Load(source, i));
        return result;
    }

    /// <summary>Writes e^(x - max) and returns their sum.</summary>
    private static unsafe float Exponentials<TElement>(byte* source, float* target, float max, long width, SimdPath path) where TElement : struct, IElement
    {
        Vector256<float> one = default, two = default;
        var highest = Vector256.Create(max);
        long i = 0;
        if (path != SimdPath.Portable)
        {
            for (; i + 16 <= width; i += 16)
            {
                Vector256<float> a = Exponential.Of(TElement.Load8(source, i) - highest), b = Exponential.Of(TElement.Load8(source, i + 8) - highest);
                a.Store(target + i);
                b.Store(target + i + 8);
                one += a;
                two += b;
            }
        }

        var sum = Vector256.Sum(one + two);
        for (; i < width; i++) sum += target[i] = MathF.Exp(TElement.Load(source, i) - max);
        return sum;
    }
}
