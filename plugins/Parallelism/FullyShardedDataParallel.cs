using Titan.Abstractions;

namespace Titan.Plugins.Parallelism;

/// <summary>Fully sharded data parallel.</summary>
[ExportParallelism(MeshDimension.DataParallelShard, Status = ExportStatus.Stable, Summary = "shards weights, gradients and optimizer over ranks; gathers a transformer block at a time")]
public sealed class FullyShardedDataParallel : IParallelism
{
    /// <inheritdoc />
    public void Apply(ParallelizationContext context)
    {
        foreach (var (_, module, layer) in ModelParameters.Layers(context.Model)) ModelParameters.SetWeight(module, layer.Weight);
    }
}
