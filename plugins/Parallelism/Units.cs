using TorchSharp;
using Titan.Abstractions;

namespace Titan.Plugins.Parallelism;

/// <summary>A layer with a weight, in a unit.</summary>
internal sealed record UnitLayer(string Fqn, torch.nn.Module Module, IWeightedLayer Layer);

/// <summary>What is gathered, and reduced, at a time: what comes before the blocks, each transformer block, what comes after them.</summary>
internal static class Units
{
    /// <summary>The layers with weights, unit by unit, in the order of forward.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/> for a parameter that no source gives.</exception>
    public static IReadOnlyList<IReadOnlyList<UnitLayer>> Of(ParallelizationContext context)
    {
        ModelParameters.ThrowIfOwnerless(context.Model, "data parallelism over several ranks");
        var layers = ModelParameters.Layers(context.Model);
        if (layers.FirstOrDefault(l => l.Layer is ILinear { Bias: not null }) is { Module: not null } biased)
            throw new TitanException(ExitCode.Usage, $"layer '{biased.Fqn}' has a bias, which data parallelism over several ranks does not serve; use a model without biases");
        var blocks = context.Blocks.Select(b => b.Fqn).ToHashSet();
        var units = new List<(string Fqn, List<UnitLayer> Layers)>();
        foreach (var (fqn, module, layer) in layers)
        {
            var block = BlockOf(fqn, blocks);
            if (units.Count == 0 || units[^1].Fqn != block) units.Add((block, []));
            units[^1].Layers.Add(new UnitLayer(fqn, module, layer));
        }

        return [.. units.Select(u => u.Layers)];
    }

    /// <summary>The block that a layer is in: <c>layers.3</c> for <c>layers.3.attention.wq</c>; empty outside of blocks.</summary>
    private static string BlockOf(string fqn, HashSet<string> blocks)
    {
        for (var dot = fqn.LastIndexOf('.'); dot > 0; dot = fqn.LastIndexOf('.', dot - 1))
            if (blocks.Contains(fqn[..dot])) return fqn[..dot];
        return "";
    }
}
