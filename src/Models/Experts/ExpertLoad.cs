using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Models;

/// <summary>
/// How often each expert of a layer was chosen since the last step, and the bias that moves against it: balance without a term of the loss (Wang et al., 2024). Upstream's update, with the mean
/// taken off so that the bias stays centred.
/// </summary>
internal sealed class ExpertLoad
{
    private readonly BufferSlot? bias;
    private readonly BufferSlot counts;
    private readonly double rate;

    public ExpertLoad(int experts, double? rate)
    {
        this.rate = rate ?? 0;
        counts = new BufferSlot("tokens_per_expert", [experts], ScalarType.Float32, isPersistent: false);
        if (rate is not null) bias = new BufferSlot("expert_bias", [experts], ScalarType.Float32);
        Buffers = bias is null ? [counts] : [bias, counts];
    }

    public IReadOnlyList<BufferSlot> Buffers { get; }

    /// <summary>fp32 [E], added to the scores where experts are chosen; null for none.</summary>
    public Tensor? Bias => bias?.Tensor;

    /// <summary>fp32 [E].</summary>
    public Tensor Counts => counts.Tensor;

    /// <summary>Counts a forward that is trained on.</summary>
    /// <param name="experts">int64 [T, K].</param>
    public void Add(Tensor experts)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        var flat = experts.reshape(-1);
        // Whole numbers in fp32: exact in any order up to 16 million of a step.
        Counts.scatter_add_(0, flat, ones_like(flat, ScalarType.Float32));
    }

    /// <summary>Sums the counts of all layers over the ranks that read different tokens, in one message, moves the biases and counts anew.</summary>
    /// <returns>The summed counts of each layer, fp32 [E] each, outside of any dispose scope.</returns>
    public static IReadOnlyList<Tensor> Step(IReadOnlyList<ExpertLoad> layers, IProcessGroup tokens)
    {
        if (layers.Count == 0) return [];
        using var none = no_grad();
        using var scope = NewDisposeScope();
        var all = cat([.. layers.Select(l => l.Counts)]);
        tokens.AllReduce(all, ReduceOperation.Sum);
        var sums = all.split([.. layers.Select(l => l.Counts.shape[0])]).Select(s => s.clone()).ToList();
        foreach (var (layer, sum) in layers.Zip(sums))
        {
            layer.Move(sum);
            layer.Counts.zero_();
        }

        return [.. sums.Select(s => s.DetachFromDisposeScope())];
    }

    /// <summary>The message of <see cref="Step"/>.</summary>
    public static PlannedCollective Plan(IReadOnlyList<ExpertLoad> layers, IProcessGroup tokens) =>
        PlannedCollective.AllReduce(tokens, layers.Sum(l => l.counts.Shape[0]), 1, StepPhase.Optimizer, "the load of experts");

    private void Move(Tensor chosen)
    {
        if (Bias is not { } moved) return;
        var delta = rate * (chosen.mean() - chosen).sign();
        moved.add_(delta - delta.mean());
    }
}
