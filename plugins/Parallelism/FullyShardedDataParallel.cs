using Titan.Abstractions;

namespace Titan.Plugins.Parallelism;

/// <summary>
/// Fully sharded data parallel (FSDP2 upstream; ZeRO-3, Rajbhandari et al., 2020): every rank keeps a run of rows of each weight with its gradient and optimizer state.
/// A transformer block's weights are gathered when the block runs, the next block's meanwhile, and its gradients are reduce-scattered while backward goes on.
/// Where a converted layer has a codec, its weight travels as the bytes that its matmul takes.
/// </summary>
[ExportParallelism(MeshDimension.DataParallelShard, Status = ExportStatus.Stable, Summary = "shards weights, gradients and optimizer over ranks; gathers a transformer block at a time")]
public sealed class FullyShardedDataParallel : IParallelism
{
    private GatherSchedule? schedule;
    private ScaleAmaxes? amaxes;
    private GradientReduction? gradients;

    /// <summary>The most units that were gathered at once.</summary>
    internal int MostGathered => schedule?.MostGathered ?? 0;

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

        schedule = new GatherSchedule(units, context.ReshardAfterForward);
        foreach (var weight in units.SelectMany(u => u.Weights)) weight.Connect(schedule, gradients);
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

    private static ShardedWeight Shard(TorchSharp.torch.nn.Module module, IWeightedLayer layer, ParallelizationContext context)
    {
        var weight = new ShardedWeight(layer.Weight, (layer as ILinear)?.WeightCodec, context);
        ModelParameters.SetWeight(module, weight);
        return weight;
    }
}
