using Titan.Abstractions;

namespace Titan.Plugins.Parallelism;

/// <summary>
/// Fully sharded data parallel (FSDP2 upstream; ZeRO-3, Rajbhandari et al., 2020): every rank keeps a run of rows of each weight with its gradient and optimizer state.
/// A transformer block's weights are gathered when the block runs, the next block's meanwhile, and its gradients are reduce-scattered while backward goes on.
/// Where a converted layer has a codec, its weight travels as the bytes that its matmul takes.
/// </summary>
[ExportParallelism(MeshAxis.DataParallelShard, Status = ExportStatus.Stable, Summary = "shards weights, gradients and optimizer over ranks; gathers a transformer block at a time")]
public sealed class FullyShardedDataParallel : IParallelism
{
    private GatherSchedule? schedule;
    private ScaleAmaxes? amaxes;
    private GradientReduction? gradients;

    /// <summary>The most units that were gathered at once.</summary>
    internal int MostGathered => schedule?.MostGathered ?? 0;

    /// <inheritdoc />
    public IReadOnlyList<string> Notes { get; private set; } = [];

    /// <inheritdoc />
    public void Apply(ParallelizationContext context)
    {
        gradients = new GradientReduction(context.Group);
        var units = new List<ShardedUnit>();
        amaxes = new ScaleAmaxes(context.Group);
        foreach (var layers in Units.Of(context))
        {
            var weights = layers.Select(l => Shard(l.Module, l.Layer, context)).ToList();
            gradients.Add(weights);
            amaxes.Add(weights);
            units.Add(new ShardedUnit(weights, context.Group, amaxes));
        }

        var all = units.SelectMany(u => u.Weights).ToList();
        Notes = [Note(all)];
        schedule = new GatherSchedule(units, context.ReshardAfterForward, context.Prefetch);
        foreach (var weight in all) weight.Connect(schedule, gradients);
    }

    /// <inheritdoc />
    public void AfterBackward()
    {
        gradients!.Finish();
        schedule!.ReleaseAll();
    }

    /// <inheritdoc />
    public void AfterOptimizerStep()
    {
        schedule!.ReleaseAll();
        amaxes!.Refresh();
    }

    /// <summary>How many weights travel how.</summary>
    private static string Note(IReadOnlyList<ShardedWeight> weights)
    {
        var encoded = weights.Count(w => w.Codec is not null);
        var scales = weights.Any(w => w.Codec is { PrecomputesScales: true }) ? "one all-reduce for the scales of all after each optimizer step" : "an all-reduce per unit where scales are global";
        return encoded == 0
            ? $"dp_shard gathers {weights.Count} weights in the compute dtype"
            : $"dp_shard gathers {encoded} of {weights.Count} weights in float8 ({scales}), the others in the compute dtype";
    }

    private static ShardedWeight Shard(TorchSharp.torch.nn.Module module, IWeightedLayer layer, ParallelizationContext context)
    {
        var weight = new ShardedWeight(layer.Weight, (layer as ILinear)?.WeightCodec, context);
        ModelParameters.SetWeight(module, weight);
        return weight;
    }
}
