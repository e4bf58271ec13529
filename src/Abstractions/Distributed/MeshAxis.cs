namespace Titan.Abstractions;

/// <summary>
/// The axes of the device mesh, in the order in which parallelisms are applied: from the innermost change of a layer to the outermost. Where the
/// ranks stand is said by <see cref="MeshLayout"/>.
/// </summary>
public enum MeshAxis
{
    /// <summary>Tensor parallel (<c>tp</c>): layers are split over ranks.</summary>
    TensorParallel,

    /// <summary>
    /// Expert parallel (<c>ep</c>): experts are split over ranks, which it takes from <c>dp_shard</c>, <c>cp</c> and, where <c>etp</c> is 1,
    /// <c>tp</c>.
    /// </summary>
    ExpertParallel,

    /// <summary>Tensor parallel within experts (<c>etp</c>): 1, or the ranks of <c>tp</c>.</summary>
    ExpertTensorParallel,

    /// <summary>Context parallel (<c>cp</c>): the sequence is split over ranks.</summary>
    ContextParallel,

    /// <summary>Fully sharded data parallel (<c>dp_shard</c>).</summary>
    DataParallelShard,

    /// <summary>Replicated data parallel (<c>dp_replicate</c>).</summary>
    DataParallelReplicate,

    /// <summary>Pipeline parallel (<c>pp</c>): blocks are split over ranks.</summary>
    PipelineParallel,
}

/// <summary>What the axes are called.</summary>
public static class MeshAxes
{
    /// <summary>All axes, in the order in which their parallelisms are applied.</summary>
    public static IReadOnlyList<MeshAxis> All { get; } = Enum.GetValues<MeshAxis>();

    /// <summary>The axes that have a parallelism of their own: the ranks of <c>etp</c> are those of <c>tp</c>, whose parallelism splits experts too.</summary>
    public static IReadOnlyList<MeshAxis> Served { get; } = [.. All.Where(a => a != MeshAxis.ExpertTensorParallel)];

    /// <summary>Upstream's name, for example <c>dp_shard</c>: in messages, manifests, reports, and as the name of the group along the axis.</summary>
    public static string Name(this MeshAxis axis) => axis switch
    {
        MeshAxis.TensorParallel => "tp",
        MeshAxis.ExpertParallel => "ep",
        MeshAxis.ExpertTensorParallel => "etp",
        MeshAxis.ContextParallel => "cp",
        MeshAxis.DataParallelShard => "dp_shard",
        MeshAxis.DataParallelReplicate => "dp_replicate",
        MeshAxis.PipelineParallel => "pp",
        _ => throw new ArgumentOutOfRangeException(nameof(axis), axis, "no axis of the mesh"),
    };

    /// <summary>The key of a job that sets its size, for example <c>parallelism.data_parallel_shard_degree</c>.</summary>
    public static string DegreeKey(this MeshAxis axis) => axis switch
    {
        MeshAxis.TensorParallel => "parallelism.tensor_parallel_degree",
        MeshAxis.ExpertParallel => "parallelism.expert_parallel_degree",
        MeshAxis.ExpertTensorParallel => "parallelism.expert_tensor_parallel_degree",
        MeshAxis.ContextParallel => "parallelism.context_parallel_degree",
        MeshAxis.DataParallelShard => "parallelism.data_parallel_shard_degree",
        MeshAxis.DataParallelReplicate => "parallelism.data_parallel_replicate_degree",
        MeshAxis.PipelineParallel => "parallelism.pipeline_parallel_degree",
        _ => throw new ArgumentOutOfRangeException(nameof(axis), axis, "no axis of the mesh"),
    };
}
