namespace Titan.Abstractions;

/// <summary>The sizes of the mesh: <c>dp_replicate * dp_shard * cp * tp * pp = world</c>.</summary>
/// <param name="DataParallelReplicate">Replicas.</param>
/// <param name="DataParallelShard">Ranks over which parameters are sharded.</param>
/// <param name="ContextParallel">Ranks that share a sequence.</param>
/// <param name="TensorParallel">Ranks that share a layer.</param>
/// <param name="PipelineParallel">Pipeline stages.</param>
public sealed record ParallelDimensions(
    int DataParallelReplicate = 1, int DataParallelShard = 1, int ContextParallel = 1, int TensorParallel = 1, int PipelineParallel = 1)
{
    /// <summary>The most ranks that a job may have.</summary>
    public const int MostRanks = 1 << 20;

    /// <summary>Number of ranks.</summary>
    public int World => DataParallelReplicate * DataParallelShard * ContextParallel * TensorParallel * PipelineParallel;

    /// <summary>Ranks that read different data.</summary>
    public int Batch => DataParallelReplicate * DataParallelShard;

    /// <summary>The size along a dimension.</summary>
    public int this[MeshDimension dimension] => dimension switch
    {
        MeshDimension.DataParallelReplicate => DataParallelReplicate,
        MeshDimension.DataParallelShard => DataParallelShard,
        MeshDimension.ContextParallel => ContextParallel,
        MeshDimension.TensorParallel => TensorParallel,
        _ => PipelineParallel,
    };

    /// <summary>Resolves <c>-1</c> for <paramref name="shard"/> as "what is left" and checks that the product is the world size (upstream's rules).</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/>, naming the degrees and the world size.</exception>
    public static ParallelDimensions Resolve(int replicate, int shard, int context, int tensor, int pipeline, int world)
    {
        foreach (var (key, value) in new[]
        {
            ("data_parallel_replicate_degree", replicate), ("context_parallel_degree", context),
            ("tensor_parallel_degree", tensor), ("pipeline_parallel_degree", pipeline),
        })
        {
            if (value < 1) throw new TitanException(ExitCode.Usage, $"parallelism.{key} = {value}: expected 1 or more");
        }

        if (shard != -1 && shard < 1)
            throw new TitanException(ExitCode.Usage, $"parallelism.data_parallel_shard_degree = {shard}: expected 1 or more, or -1 for all ranks that are left");
        // In floating point: the product of five degrees may be more than any integer holds.
        var others = (double)replicate * context * tensor * pipeline;
        if (others * Math.Max(1, shard) > MostRanks)
            throw new TitanException(ExitCode.Usage, $"parallelism: dp_replicate {replicate} * dp_shard {shard} * cp {context} * tp {tensor} * pp {pipeline} is more than {MostRanks} ranks; lower the degrees");
        if (shard == -1) shard = (int)Math.Max(1, world / others);
        var resolved = new ParallelDimensions(replicate, shard, context, tensor, pipeline);
        if (resolved.World != world)
            throw new TitanException(ExitCode.Usage,
                $"parallelism: dp_replicate {replicate} * dp_shard {shard} * cp {context} * tp {tensor} * pp {pipeline} = {resolved.World}, " +
                $"but the job runs on {world} rank(s); set NGPU={resolved.World} or change the degrees");
        return resolved;
    }
}
