using Titan.Abstractions;
using Titan.Distributed;
using Titan.Distributed.Collectives;
using Titan.Training.Configuration;
using static TorchSharp.torch;

namespace Titan.Training.Loop;

/// <summary>The ranks that train together, as a trainer sees them.</summary>
/// <param name="Mesh">Where they stand, and their groups, on the run's device.</param>
/// <param name="World">All ranks, for tensors in CPU memory.</param>
public sealed record TrainingRanks(DeviceMesh Mesh, IProcessGroup World)
{
    /// <summary>A run of one rank.</summary>
    public static TrainingRanks Single { get; } =
        new(new DeviceMesh(new ParallelDimensions(), 0, (name, _) => new SingleRankGroup(name)), new SingleRankGroup("world"));

    /// <summary>The sizes of the mesh.</summary>
    public ParallelDimensions Dimensions => Mesh.Sizes;

    /// <summary>This rank's number among those that read different data.</summary>
    public int BatchRank => Mesh.Coordinate(MeshAxis.DataParallelReplicate, MeshAxis.DataParallelShard);

    /// <summary>What was communicated; null for nothing.</summary>
    public CommunicationCounter? Counter { get; init; }

    /// <summary>Called after the first step, when collectives must come sooner.</summary>
    public Action FirstStepDone { get; init; } = () => { };

    /// <summary>Whether this rank writes the run's files.</summary>
    public bool IsMain => World.Rank == 0;

    /// <summary>Ranks that read the same data.</summary>
    public int SameData => Dimensions.World / Dimensions.Batch;

    /// <summary>Ranks that compute the same losses.</summary>
    public int SameLoss => Dimensions.World / Dimensions.Loss;

    /// <summary>The mesh that a job asks for.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/> when the degrees do not fit the number of ranks.</exception>
    public static ParallelDimensions Resolve(JobConfig config, int world) => ParallelDimensions.Resolve(Asked(config), world);

    /// <summary>The mesh of a job whose number of ranks is not known: <c>-1</c> is the fewest that there can be.</summary>
    /// <exception cref="TitanException">
    /// With <see cref="ExitCode.Usage"/> when the degrees are of more ranks than there can be, or do not fit each other.
    /// </exception>
    public static ParallelDimensions Least(JobConfig config) => ParallelDimensions.Least(Asked(config));

    /// <summary>The ranks of a job that runs on several.</summary>
    public static TrainingRanks Of(DistributedRuntime runtime, JobConfig config, Device device)
    {
        var mesh = runtime.CreateMesh(Resolve(config, runtime.World), device);
        return new TrainingRanks(mesh, runtime.WorldGroup)
        {
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

    /// <summary>The degrees as the job gives them; without <c>ep</c>, <c>etp</c> counts for nothing, as upstream.</summary>
    public static ParallelDimensions Asked(JobConfig config)
    {
        var p = config.Parallelism;
        return new(
            p.DataParallelReplicateDegree, p.DataParallelShardDegree, p.ContextParallelDegree, p.TensorParallelDegree, p.PipelineParallelDegree,
            p.ExpertParallelDegree, p.ExpertParallelDegree == 1 ? 1 : p.ExpertTensorParallelDegree);
    }
}
