using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Training.Losses;

/// <summary>
/// The sum of the tokens' cross-entropies where each rank holds a part of the vocabulary: logits [B, S, V / ranks], labels [B * S] int64 in the whole vocabulary, the same on
/// every rank. Two small all-reduces, of [rows] and [2, rows]; no rank sees another's logits, and every rank gets the same loss.
/// <code>
/// loss             = Σ over rows of max + log Σ exp(x - max) - x[label]      max, Σ and x[label] over all ranks
/// d loss / d x     = exp(x - max) / Σ - one-hot(label)                       this rank's part
/// </code>
/// In fp32, a few rows at a time. Kept for backward: the gradient, in the logits' dtype.
/// </summary>
internal sealed class VocabularyParallelCrossEntropy(IProcessGroup group) : GuardedFunction
{
    private const long RowsPerChunk = 256;

    /// <summary>The sum over all rows, 0-d fp32.</summary>
    /// <exception cref="ArgumentException">When the labels do not fit the logits or the vocabulary.</exception>
    public static Tensor Sum(Tensor logits, Tensor labels, IProcessGroup group)
    {
        if (labels.dtype != ScalarType.Int64 || labels.numel() != logits.numel() / logits.shape[^1])
            throw new ArgumentException($"cross_entropy: logits [{string.Join(", ", logits.shape)}], labels {labels.dtype} [{string.Join(", ", labels.shape)}]; expected [..., V / {group.Size}] and one int64 per row");
        return new VocabularyParallelCrossEntropy(group).Apply(logits, labels);
    }

    /// <summary>What it sends in a step: the maxima, then two sums.</summary>
    public static IReadOnlyList<PlannedCollective> Plan(IProcessGroup group, StepShape step) =>
        [.. new long[] { 1, 2 }.Select(n => PlannedCollective.AllReduce(group, n * step.Tokens, step.MicroBatches, StepPhase.Forward, "loss"))];

    protected override Tensor Forward(Tensor[] inputs)
    {
        Tensor logits = inputs[0], labels = inputs[1];
        var rows = logits.reshape(-1, logits.shape[^1]);
        long count = rows.shape[0], width = rows.shape[1];
        Check(labels, width * group.Size);
        var ignored = labels.eq(CrossEntropy.Ignored);
        var local = labels - group.Rank * width;
        var elsewhere = local.lt(0).logical_or(local.ge(width)).logical_or(ignored);
        var index = local.masked_fill(elsewhere, 0).unsqueeze(1);
        var owned = elsewhere.logical_not().to(ScalarType.Float32);

        var max = empty(count, dtype: ScalarType.Float32, device: rows.device);
        Each(count, (at, n) => max.narrow(0, at, n).copy_(rows.narrow(0, at, n).amax([1]).to(ScalarType.Float32)));
        group.AllReduce(max, ReduceOperation.Max);

        // Σ exp(x - max), and x[label] - max where this rank holds it.
        var sums = empty([2, count], dtype: ScalarType.Float32, device: rows.device);
        Each(count, (at, n) =>
        {
            var shifted = rows.narrow(0, at, n).to(ScalarType.Float32) - max.narrow(0, at, n).unsqueeze(1);
            sums[0].narrow(0, at, n).copy_(shifted.exp().sum(dim: 1L));
            sums[1].narrow(0, at, n).copy_(shifted.gather(1, index.narrow(0, at, n)).squeeze(1) * owned.narrow(0, at, n));
        });
        group.AllReduce(sums, ReduceOperation.Sum);

        var gradient = empty_like(rows);
        Each(count, (at, n) =>
        {
            var part = (rows.narrow(0, at, n).to(ScalarType.Float32) - max.narrow(0, at, n).unsqueeze(1)).exp() / sums[0].narrow(0, at, n).unsqueeze(1);
            part.scatter_add_(1, index.narrow(0, at, n), -owned.narrow(0, at, n).unsqueeze(1));
            gradient.narrow(0, at, n).copy_(part.masked_fill(ignored.narrow(0, at, n).unsqueeze(1), 0));
        });
        SaveForBackward(gradient.reshape(logits.shape));
        return (sums[0].log() - sums[1]).masked_fill(ignored, 0).sum();
    }

    protected override Tensor?[] Backward(Tensor gradient) => [Saved(0).mul(gradient), null];

    /// <summary>A label that no rank holds would count as a logit of zero. A device that runs ahead is not waited for.</summary>
    private static void Check(Tensor labels, long vocabulary)
    {
        if (labels.device_type != TorchSharp.DeviceType.CPU || labels.numel() == 0) return;
        var wrong = labels.ne(CrossEntropy.Ignored).logical_and(labels.lt(0).logical_or(labels.ge(vocabulary)));
        if (wrong.any().item<bool>())
            throw new ArgumentException($"cross_entropy: label {labels.masked_select(wrong)[0].item<long>()}; expected 0 to {vocabulary - 1}, or {CrossEntropy.Ignored}");
    }

    private static void Each(long count, Action<long, long> chunk)
    {
        for (long at = 0; at < count; at += RowsPerChunk)
        {
            using var scope = NewDisposeScope();
            chunk(at, Math.Min(RowsPerChunk, count - at));
        }
    }
}
