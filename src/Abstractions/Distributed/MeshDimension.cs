namespace Titan.Abstractions;

/// <summary>The dimensions of the device mesh, in the order in which parallelisms are applied: from the innermost change of a layer to the outermost.</summary>
public enum MeshDimension
{
    /// <summary>Tensor parallel (<c>tp</c>): layers are split over ranks.</summary>
    TensorParallel,

    /// <summary>Context parallel (<c>cp</c>): the sequence is split over ranks.</summary>
    ContextParallel,

    /// <summary>Fully sharded data parallel (<c>dp_shard</c>).</summary>
    DataParallelShard,

    /// <summary>Replicated data parallel (<c>dp_replicate</c>).</summary>
    DataParallelReplicate,

    /// <summary>Pipeline parallel (<c>pp</c>): blocks are split over ranks.</summary>
    PipelineParallel,
}
