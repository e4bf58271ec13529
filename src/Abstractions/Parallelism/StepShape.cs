namespace Titan.Abstractions;

/// <summary>What a training step computes on one rank, as far as it decides what the ranks send each other.</summary>
/// <param name="LocalBatchSize">Sequences of a micro-batch.</param>
/// <param name="SequenceLength">Tokens of a sequence.</param>
/// <param name="MicroBatches">Forward and backward passes of a step.</param>
public sealed record StepShape(long LocalBatchSize, long SequenceLength, int MicroBatches)
{
    /// <summary>The parts of the model whose forward runs again in backward, by FQN: blocks, or modules in them.</summary>
    public IReadOnlyList<string> Recomputed { get; init; } = [];

    /// <summary>The first layers in forward, by FQN, up to the first that has a trainable weight: backward computes no gradient of their input.</summary>
    public IReadOnlySet<string> Leading { get; init; } = new HashSet<string>();

    /// <summary>Whether backward computes the gradient of a layer's input.</summary>
    /// <param name="fqn">The layer's FQN.</param>
    public bool NeedsInputGradient(string fqn) => !Leading.Contains(fqn);

    /// <summary>Tokens of a micro-batch.</summary>
    public long Tokens => LocalBatchSize * SequenceLength;

    /// <summary>Whether the forward of a module runs again in backward.</summary>
    /// <param name="fqn">Its FQN.</param>
    public bool IsRecomputed(string fqn) => Recomputed.Any(r => fqn.StartsWith(r, StringComparison.Ordinal) && (fqn.Length == r.Length || fqn[r.Length] == '.'));
}
