using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.Parallelism;

/// <summary>What <see cref="SequenceExchange"/> sends for activations of a step.</summary>
/// <param name="group">The ranks that share the sequence.</param>
/// <param name="step">What a step computes.</param>
/// <param name="type">Dtype of activations that do not travel encoded.</param>
internal sealed class SequenceTraffic(IProcessGroup group, StepShape step, ScalarType type)
{
    private const string Activations = "activations";

    private readonly Dictionary<(IActivationCodec Codec, long Features, bool ForBackward), (IReadOnlyList<PlannedTensor> Tensors, int Amaxes)> measured = [];

    /// <summary>What it has been told of.</summary>
    public List<PlannedCollective> Collectives { get; } = [];

    /// <summary>Ranks that share the sequence.</summary>
    public int Ranks => group.Size;

    /// <summary>Gathers of [B, s, features], as a codec encodes them, with the amaxes that it reduces first.</summary>
    /// <param name="times">How often in a micro-batch.</param>
    /// <param name="features">Features of a token.</param>
    /// <param name="codec">The codec; null for none.</param>
    /// <param name="forBackward">What the codec is told.</param>
    /// <param name="when">In forward or in backward.</param>
    public void Gather(int times, long features, IActivationCodec? codec, bool forBackward, StepPhase when)
    {
        var (tensors, amaxes) = codec is null ? ([Part(features)], 0) : Encoded(codec, features, forBackward);
        Add(CollectiveVerb.AllGather, tensors, times, when, Activations);
        Add(CollectiveVerb.AllReduce, [PlannedTensor.Float32(1)], times * amaxes, when, "amaxes of activations");
    }

    /// <summary>Scatters of partial sums [B, S, features]: in fp32 reduced on the way, narrower ones exchanged and added in fp32 by the receiver.</summary>
    public void Scatter(int times, long features, StepPhase when) =>
        Add(type == ScalarType.Float32 ? CollectiveVerb.ReduceScatter : CollectiveVerb.AllToAll, [Part(features)], times, when, Activations);

    /// <summary>The sum of a gradient in fp32.</summary>
    public void Reduce(long elements) => Add(CollectiveVerb.AllReduce, [PlannedTensor.Float32(elements)], 1, StepPhase.Backward, "gradients of whole weights");

    /// <summary>Logits [B, S, features] of a rank's part of the vocabulary.</summary>
    public void GatherLogits(long features) => Add(CollectiveVerb.AllGather, [new PlannedTensor(type, step.Tokens * features * Size)], 1, StepPhase.Forward, "logits");

    private long Size => type == ScalarType.Float32 ? 4 : 2;

    private PlannedTensor Part(long features) => new(type, step.Tokens / group.Size * features * Size);

    private void Add(string verb, IReadOnlyList<PlannedTensor> tensors, int times, StepPhase when, string what)
    {
        if (times > 0) Collectives.Add(new PlannedCollective(group, verb, tensors, times * step.MicroBatches, when, what));
    }

    /// <summary>Asks the codec itself, with a few tokens: what it gives is proportional to their number.</summary>
    private (IReadOnlyList<PlannedTensor> Tensors, int Amaxes) Encoded(IActivationCodec codec, long features, bool forBackward)
    {
        if (measured.TryGetValue((codec, features, forBackward), out var known)) return known;
        using var scope = NewDisposeScope();
        var part = step.SequenceLength / group.Size;
        // As divisible as the true number, and no more than needed.
        var tokens = part <= 512 ? part : 256 + part % 256;
        var amaxes = 0;
        var planes = codec.Encode(zeros(1, tokens, features, dtype: type), null, forBackward, amax =>
        {
            amaxes++;
            return amax.clone();
        })?.Planes;
        return measured[(codec, features, forBackward)] = planes is null
            ? ([Part(features)], 0)
            : ([.. planes.Select(p => new PlannedTensor(p.dtype, p.numel() * p.element_size() * step.LocalBatchSize * part / tokens))], amaxes);
    }
}
