using TorchSharp;
using Titan.Abstractions;

namespace Titan.Plugins.Parallelism;

/// <summary>A weight, in a unit.</summary>
/// <param name="Fqn">FQN of its layer.</param>
/// <param name="Module">The layer, as a module.</param>
/// <param name="Layer">The layer.</param>
/// <param name="Slot">The weight.</param>
internal sealed record UnitWeight(string Fqn, torch.nn.Module Module, IWeightedLayer Layer, WeightSlot Slot)
{
    /// <summary>Where it comes from now.</summary>
    public IWeightSource Source => Slot.Source;

    /// <summary>Whether it is the operand of matmuls, which backward asks for again.</summary>
    public bool IsOperand => Layer is IGroupedLayer grouped ? grouped.Matrices.Contains(Slot) : Layer is ILinear && Slot == Layer.Weights[0];

    /// <summary>The ranks over which the run shards it: fewer for experts that <c>ep</c> shares.</summary>
    public IProcessGroup ShardGroup(ParallelizationContext context) => Layer is IGroupedLayer && context.Dimensions.ExpertParallel > 1 ? context.Mesh.DataModExpert : context.Group;
}

/// <summary>What is gathered, and reduced, at a time: what comes before the blocks, each transformer block, what comes after them.</summary>
internal static class Units
{
    /// <summary>The weights, unit by unit, in the order of forward.</summary>
    public static IReadOnlyList<IReadOnlyList<UnitWeight>> Of(ParallelizationContext context)
    {
        ModelParameters.ThrowIfOwnerless(context.Model, "data parallelism over several ranks");
        var blocks = context.Blocks.Select(b => b.Fqn).ToHashSet();
        var units = new List<(string Fqn, List<UnitWeight> Weights)>();
        foreach (var (fqn, module, layer) in ModelParameters.Layers(context.Model))
        {
            var block = BlockOf(fqn, blocks);
            if (units.Count == 0 || units[^1].Fqn != block) units.Add((block, []));
            units[^1].Weights.AddRange(layer.Weights.Select(w => new UnitWeight(fqn, module, layer, w)));
        }

        return [.. units.Select(u => u.Weights)];
    }

    /// <summary>The block that a layer is in: <c>layers.3</c> for <c>layers.3.attention.wq</c>; empty outside of blocks.</summary>
    private static string BlockOf(string fqn, HashSet<string> blocks)
    {
        for (var dot = fqn.LastIndexOf('.'); dot > 0; dot = fqn.LastIndexOf('.', dot - 1))
            if (blocks.Contains(fqn[..dot])) return fqn[..dot];
        return "";
    }
}
