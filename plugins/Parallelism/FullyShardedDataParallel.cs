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
    /// <inheritdoc />
    public Type OptionsType => typeof(ShardedDataParallelOptions);

    /// <inheritdoc />
    public ParallelismPlan Plan(ParallelizationContext context)
    {
        var units = Units.Of(context);
        var shards = units.Select(u => u.Select(w => WeightShards.Of(w, context)).ToList()).ToList();
        return new ParallelismPlan(
        [
            .. GatherPlan.Of(units, context),
            .. GradientReduction.Plan(shards.SelectMany(u => u.GroupBy(w => w.Group)).Select(u => (u.Key, (IReadOnlyList<long>)[.. u.Where(w => w.Source.Parameter.requires_grad).Select(w => w.Elements)]))!, null, context.Step.MicroBatches),
            .. ScaleAmaxes.Plan(shards, context.Group),
        ])
        {
            Memory = new Dictionary<string, long>
            {
                ["gathered"] = GatherPlan.HeldBytes(units, context),
                [GradientReduction.MemoryName] = GradientReduction.HeldBytes(shards.Select(u => u.Sum(w => w.Elements * w.Ranks))),
            },
            MemoryNotes = ["gathered: two neighbouring units, or all with fsdp_reshard_after_forward = never", GradientReduction.MemoryNote],
        };
    }

    /// <inheritdoc />
    public IAppliedParallelism Apply(ParallelizationContext context) => new ShardedModel(context);
}
