using TorchSharp;
using Titan.Abstractions;

namespace Titan.Plugins.Parallelism;

/// <summary>What is gathered, and reduced, at a time: what comes before the blocks, each transformer block, what comes after them.</summary>
internal static class Units
{
    /// <summary>The layers with weights, unit by unit, in the order of forward.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/> for a parameter that no source gives.</exception>
    public static IReadOnlyList<IReadOnlyList<(torch.nn.Module Module, IWeightedLayer Layer)>> Of(ParallelizationContext context)
    {
        var layers = ModelParameters.Layers(context.Model);
        if (layers.FirstOrDefault(l => l.Layer is ILinear { Bias: not null }) is { Module: not null } biased)
            throw new TitanException(ExitCode.Usage, $"layer '{biased.Fqn}' has a bias, which data parallelism over several ranks does not serve; use a model without biases");
        var units = new List<(string Fqn, List<(torch.nn.Module, IWeightedLayer)> Layers)>();
        foreach (var (fqn, module, layer) in layers)
        {
            var block = context.Blocks.FirstOrDefault(b => fqn.StartsWith(b.Fqn + ".", StringComparison.Ordinal)).Fqn ?? "";
            if (units.Count == 0 || units[^1].Fqn != block) units.Add((block, []));
            units[^1].Layers.Add((module, layer));
        }

        return [.. units.Select(u => u.Layers)];
    }
}
