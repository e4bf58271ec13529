using Titan.Abstractions;
using Titan.Kernels.Fused;
using Titan.Training.Configuration;
using Titan.Training.Data;
using static TorchSharp.torch;

namespace Titan.Training.Losses;

/// <summary>A loss: the sum of the tokens' cross-entropies divided by a count, 0-d fp32.</summary>
/// <param name="logits">[B, S, V], or this rank's part of the vocabulary. May be overwritten: nobody else reads them.</param>
/// <param name="labels">[B * S] int64; -100 is ignored.</param>
/// <param name="count">What the sum is divided by.</param>
internal delegate Tensor LossFunction(Tensor logits, Tensor labels, long count);

/// <summary>The forms of the cross-entropy, all in fp32.</summary>
internal static class CrossEntropy
{
    public const long Ignored = Batch.Ignored;

    /// <summary>The form that a job asks for: <c>compile.enable</c> with the component <c>loss</c>, or plain.</summary>
    public static LossFunction For(CompileSection compile) => compile.Enable && compile.Components.Contains("loss") ? Chunked : Plain;

    /// <summary>The same where ranks may have parts of the vocabulary.</summary>
    /// <param name="compile">The form on one rank.</param>
    /// <param name="vocabulary">The ranks that have parts of the vocabulary in their logits; null for none.</param>
    public static LossFunction For(CompileSection compile, IProcessGroup? vocabulary) =>
        vocabulary is { } group ? (logits, labels, count) => VocabularyParallelCrossEntropy.Sum(logits, labels, group) / count : For(compile);

    /// <summary>Plain ATen operations on all logits at once.</summary>
    public static Tensor Plain(Tensor logits, Tensor labels, long count = 1)
    {
        using var scope = NewDisposeScope();
        return nn.functional.cross_entropy(logits.reshape(-1, logits.shape[^1]).to(ScalarType.Float32), labels, null, Ignored, nn.Reduction.Sum).div(count).MoveToOuterDisposeScope();
    }

    /// <summary>The same, forward and gradient together, a few rows at a time, so that no fp32 copy of all logits is ever made.</summary>
    public static Tensor Chunked(Tensor logits, Tensor labels, long count = 1) =>
        FusedCrossEntropy.Covers(logits) ? FusedCrossEntropy.Mean(logits, labels, count, mayOverwrite: true) : ChunkedCrossEntropy.Sum(logits, labels) / count;

    private sealed class ChunkedCrossEntropy : GuardedFunction
    {
        private const long RowsPerChunk = 256;

        public static Tensor Sum(Tensor logits, Tensor labels) => new ChunkedCrossEntropy().Apply(logits, labels);

        protected override Tensor Forward(Tensor[] inputs)
        {
            Tensor logits = inputs[0], labels = inputs[1];
            var rows = logits.reshape(-1, logits.shape[^1]);
            var gradient = empty_like(rows);
            var loss = zeros([], dtype: ScalarType.Float32, device: logits.device);
            for (long at = 0; at < rows.shape[0]; at += RowsPerChunk)
            {
                using var chunk = NewDisposeScope();
                var count = Math.Min(RowsPerChunk, rows.shape[0] - at);
                var wide = rows.narrow(0, at, count).to(ScalarType.Float32);
                var label = labels.narrow(0, at, count);
                var valid = label.ne(Ignored).to(ScalarType.Float32).unsqueeze(1);
                var index = label.clamp_min(0).unsqueeze(1);
                var normaliser = wide.logsumexp(1, true);
                loss.add_(((normaliser - wide.gather(1, index)) * valid).sum());
                // d loss / d logits = softmax - one-hot
                var part = (wide - normaliser).exp_();
                part.scatter_add_(1, index, full_like(normaliser, -1));
                gradient.narrow(0, at, count).copy_(part.mul_(valid));
            }

            SaveForBackward(gradient.reshape(logits.shape));
            return loss;
        }

        protected override Tensor?[] Backward(Tensor gradient) => [Saved(0).mul(gradient), null];
    }
}
