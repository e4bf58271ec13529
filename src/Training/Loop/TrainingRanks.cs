using Titan.Abstractions;
using Titan.Distributed;
using Titan.Training.Configuration;
using static TorchSharp.torch;

namespace Titan.Training.Loop;

/// <summary>The ranks that train together, as a trainer sees them.</summary>
/// <param name="Dimensions">The sizes of the mesh.</param>
/// <param name="Along">The group along a dimension, on the run's device.</param>
/// <param name="World">All ranks, for tensors in CPU memory.</param>
public sealed record TrainingRanks(ParallelDimensions Dimensions, Func<MeshDimension, IProcessGroup> Along, IProcessGroup World)
{
    /// <summary>A run of one rank.</summary>
    public static TrainingRanks Single { get; } = new(new ParallelDimensions(), d => new SingleRankGroup(d.ToString()), new SingleRankGroup("world"));

    /// <summary>This rank's number among those that read different data.</summary>
    public int BatchRank { get; init; }

    /// <summary>What was communicated; null for nothing.</summary>
    public CommunicationCounter? Counter { get; init; }

    /// <summary>Called after the first step, when collectives must come sooner.</summary>
    public Action FirstStepDone { get; init; } = () => { };

    /// <summary>Whether this rank writes the run's files.</summary>
    public bool IsMain => World.Rank == 0;

    /// <summary>Ranks that compute the same losses: those that read the same data.</summary>
    public int SameData => Dimensions.World / Dimensions.Batch;

    /// <summary>The mesh that a job asks for.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/> when the degrees do not fit the number of ranks.</exception>
    public static ParallelDimensions Resolve(JobConfig config, int world)
    {
        var p = config.Parallelism;
        return ParallelDimensions.Resolve(p.DataParallelReplicateDegree, p.DataParallelShardDegree, p.ContextParallelDegree, p.TensorParallelDegree, p.PipelineParallelDegree, world);
    }

    /// <summary>The mesh of a job whose number of ranks is not known: <c>-1</c> is one.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/> when the degrees are of more ranks than there can be.</exception>
    public static ParallelDimensions Least(JobConfig config)
    {
        var p = config.Parallelism;
        var shard = Math.Max(1, p.DataParallelShardDegree);
        // In floating point: the product of five degrees may be more than any integer holds.
        var world = (double)p.DataParallelReplicateDegree * shard * p.ContextParallelDegree * p.TensorParallelDegree * p.PipelineParallelDegree;
        return ParallelDimensions.Resolve(p.DataParallelReplicateDegree, shard, p.ContextParallelDegree, p.TensorParallelDegree, p.PipelineParallelDegree, (int)Math.Min(int.MaxValue, world));
    }

    /// <summary>The ranks of a job that runs on several.</summary>
    public static TrainingRanks Of(DistributedRuntime runtime, JobConfig config, Device device)
    {
        var mesh = runtime.CreateMesh(Resolve(config, runtime.World), device);
        return new TrainingRanks(mesh.Dimensions, d => mesh[d], runtime.WorldGroup)
        {
            BatchRank = mesh.Batch.Rank,
            Counter = runtime.World > 1 ? runtime.Counter : null,
            FirstStepDone = () => runtime.SetTimeout(TimeSpan.FromSeconds(config.Comm.TrainTimeoutSeconds)),
        };
    }

    /// <summary>The sum over all ranks.</summary>
    public double[] Sum(params double[] values) => Reduce(values, ReduceOperation.Sum);

    /// <summary>The largest of all ranks' values.</summary>
    public double Max(double value) => Reduce([value], ReduceOperation.Max)[0];

    private double[] Reduce(double[] values, ReduceOperation operation)
    {
        if (World.Size == 1) return values;
        using var scope = NewDisposeScope();
        var all = tensor(values);
        World.AllReduce(all, operation);
        return all.data<double>().ToArray();
    }

    /// <summary>Whether a rank was asked to stop, the same on all: what one was asked, all do.</summary>
    public bool AnyAsks(CancellationToken stop) => Sum(stop.IsCancellationRequested ? 1 : 0)[0] > 0;

    /// <summary>Rank 0's value, on every rank.</summary>
    public long OfFirst(long value)
    {
        if (World.Size == 1) return value;
        using var scope = NewDisposeScope();
        var all = tensor(new[] { value });
        World.Broadcast(all, 0);
        return all.data<long>()[0];
    }
}
