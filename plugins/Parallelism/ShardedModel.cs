using Titan.Abstractions;

namespace Titan.Plugins.Parallelism;

/// <summary>A model whose weights are shared out by <see cref="FullyShardedDataParallel"/>.</summary>
internal sealed class ShardedModel : IAppliedParallelism
{
    private readonly GatherSchedule schedule;
    private readonly ScaleAmaxes amaxes;
    private readonly GradientReduction gradients;

    public ShardedModel(ParallelizationContext context)
    {
        (gradients, amaxes) = (new GradientReduction(), new ScaleAmaxes(context.Group));
        var units = new List<ShardedUnit>();
        foreach (var unit in Units.Of(context))
        {
            var weights = unit.Select(w => Shard(w, context)).ToList();
            foreach (var together in weights.GroupBy(w => w.Shards.Group)) gradients.Add([.. together], together.Key);
            amaxes.Add(weights);
            units.Add(new ShardedUnit(weights, amaxes));
        }

        schedule = new GatherSchedule(units, (ShardedDataParallelOptions)context.Options);
        foreach (var (u, unit) in units.Index())
            foreach (var (w, weight) in unit.Weights.Index()) weight.Connect(schedule, gradients, unit, (u, w));
        Notes = [Note([.. units.SelectMany(u => u.Weights)])];
    }

    /// <inheritdoc />
    public IReadOnlyList<string> Notes { get; }

    /// <summary>The most units that were gathered at once.</summary>
    internal int MostGathered => schedule.MostGathered;

    /// <inheritdoc />
    public void AfterBackward()
    {
        gradients.Finish();
        schedule.ReleaseAll();
    }

    /// <inheritdoc />
    public void AfterOptimizerStep()
    {
        schedule.ReleaseAll();
        amaxes.Refresh();
    }

    /// <summary>How many weights travel how.</summary>
    private static string Note(IReadOnlyList<ShardedWeight> all)
    {
        var weights = all.Where(w => w.Shards.Ranks > 1).ToList();
        var encoded = weights.Count(w => w.Codec is not null);
        var scales = weights.Any(w => w.Codec is { PrecomputesScales: true }) ? "one all-reduce for the scales of all after each optimizer step" : "an all-reduce per unit where scales are global";
        var experts = string.Concat(weights.GroupBy(w => w.Shards.Group.Name).Where(g => g.Key == "dp_mod_ep").Select(g => $"; {g.Count()} of them, of experts, over {g.Key}"));
        return (encoded == 0
            ? $"dp_shard gathers {weights.Count} weights in the compute dtype"
            : $"dp_shard gathers {encoded} of {weights.Count} weights in float8 ({scales}), the others in the compute dtype") + experts;
    }

    private static ShardedWeight Shard(UnitWeight whole, ParallelizationContext context)
    {
        var weight = new ShardedWeight(whole, context);
        ModelParameters.SetWeight(whole.Module, whole.Slot, weight);
        return weight;
    }
}
