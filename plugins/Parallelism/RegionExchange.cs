using Titan.Abstractions;

namespace Titan.Plugins.Parallelism;

/// <summary>What a region of the model that sees the whole sequence exchanges at its boundary, and how it travels. A run attaches it, a plan counts it.</summary>
/// <param name="Region">The region.</param>
/// <param name="InputFeatures">Features of what is gathered.</param>
/// <param name="OutputFeatures">Features of what is scattered, or gathered as logits.</param>
/// <param name="Input">The codec that all readers share; null where they differ, so that no bytes serve all of them.</param>
/// <param name="Gradient">The writer's codec for gradients.</param>
internal sealed record RegionExchange(SequenceRegion Region, long InputFeatures, long OutputFeatures, IActivationCodec? Input, IActivationCodec? Gradient)
{
    /// <summary>The exchange of a region.</summary>
    public static RegionExchange Of(SequenceRegion region, IReadOnlyDictionary<string, IWeightedLayer> layers)
    {
        var readers = region.Readers.Select(r => (layers[r] as ILinear)?.InputCodec).Distinct().ToList();
        // Experts add to the residual stream what they have read of it.
        var writer = region.Writer is { } name ? layers[name] as ILinear : null;
        var first = (ILinear)layers[region.Readers[0]];
        return new RegionExchange(region, first.Shape.K, region.Writer is null ? first.Shape.N : writer?.Shape.N ?? first.Shape.K, readers.Count == 1 ? readers[0] : null, writer?.GradientCodec);
    }

    /// <summary>For the run's report.</summary>
    public (string Region, string Text) Description =>
        (Region.Fqn.Split('.')[^1], $"input: {Describe(Input)}{(Region.Writer is null ? "" : $"; gradient: {Describe(Gradient)}")}");

    /// <summary>Puts it into the model.</summary>
    /// <param name="group">The ranks.</param>
    /// <param name="gathersLogits">Whether the head's output is gathered too.</param>
    public void Attach(IProcessGroup group, bool gathersLogits)
    {
        Region.Boundary.BeforeForward = x => SequenceGather.Apply(x, group, Input);
        if (Region.Writer is not null) Region.Boundary.AfterForward = x => SequenceScatter.Apply(x, group, Gradient);
        else if (gathersLogits) Region.Boundary.AfterForward = x => VocabularyGather.Apply(x, group);
    }

    /// <summary>Counts it: backward does the opposite of forward, and a region that is computed again does forward's again.</summary>
    /// <param name="traffic">Counts.</param>
    /// <param name="gathersLogits">Whether the head's output is gathered too.</param>
    /// <param name="step">What a step computes.</param>
    /// <param name="isTrained">Whether a layer has a trainable weight.</param>
    public void Plan(SequenceTraffic traffic, bool gathersLogits, StepShape step, Func<string, bool> isTrained)
    {
        var again = step.IsRecomputed(Region.Fqn);
        // Computed again, the first pass keeps nothing for backward.
        traffic.Gather(1, InputFeatures, Input, forBackward: !again, StepPhase.Forward);
        if (again) traffic.Gather(1, InputFeatures, Input, forBackward: true, StepPhase.Backward);
        if (step.NeedsInputGradient(Region.Readers[0])) traffic.Scatter(1, InputFeatures, StepPhase.Backward);
        if (Region.Writer is { } writer)
        {
            traffic.Scatter(1, OutputFeatures, StepPhase.Forward);
            if (again) traffic.Scatter(1, OutputFeatures, StepPhase.Backward);
            if (step.NeedsInputGradient(writer) || isTrained(writer)) traffic.Gather(1, OutputFeatures, Gradient, forBackward: true, StepPhase.Backward);
        }
        else if (gathersLogits) traffic.GatherLogits(OutputFeatures / traffic.Ranks);
    }

    private static string Describe(IActivationCodec? codec) => codec?.Describe(forBackward: true) ?? "the compute dtype";
}
