namespace Titan.Abstractions;

/// <summary>
/// The ranks of a job, arranged along named axes (<see cref="MeshLayout"/>), as one of them sees it: the sizes, where it stands, and the process
/// groups, asked for by axes. A mesh of one rank gives groups of one rank, so that what runs on many ranks runs on one by the same code.
/// </summary>
public sealed class DeviceMesh
{
    private readonly Func<string, IReadOnlyList<int>, IProcessGroup> make;
    private readonly Lock gate = new();
    private readonly Dictionary<string, IProcessGroup> made = [];

    /// <summary>Arranges the ranks.</summary>
    /// <param name="sizes">Sizes.</param>
    /// <param name="rank">This process's number among all ranks.</param>
    /// <param name="make">
    /// The group of a name and of world ranks, this one among them; asked once for each. Every member asks for the same groups in the same order.
    /// </param>
    /// <exception cref="ArgumentException">When the mesh has no such rank, or its sizes do not fit each other.</exception>
    public DeviceMesh(ParallelDimensions sizes, int rank, Func<string, IReadOnlyList<int>, IProcessGroup> make)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rank);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(rank, sizes.World);
        if (sizes.ExpertProblem is { } problem) throw new ArgumentException(problem, nameof(sizes));
        (Sizes, Rank, this.make) = (sizes, rank, make);
    }

    /// <summary>The sizes.</summary>
    public ParallelDimensions Sizes { get; }

    /// <summary>This process's number among all ranks.</summary>
    public int Rank { get; }

    /// <summary>The ranks that read different data: <c>dp</c> = <c>dp_replicate x dp_shard</c>.</summary>
    public IProcessGroup Batch => Group(MeshAxis.DataParallelReplicate, MeshAxis.DataParallelShard);

    /// <summary>The ranks over which parameters are sharded: <c>fsdp</c> = <c>dp_shard x cp</c>.</summary>
    public IProcessGroup FullyShard => Group(MeshAxis.DataParallelShard, MeshAxis.ContextParallel);

    /// <summary>The ranks that compute losses of different tokens: <c>loss</c> = <c>dp_replicate x dp_shard x cp</c>.</summary>
    public IProcessGroup Loss => Group(MeshAxis.DataParallelReplicate, MeshAxis.DataParallelShard, MeshAxis.ContextParallel);

    /// <summary>The ranks that share the experts of a layer: <c>ep</c>.</summary>
    public IProcessGroup Expert => Group(MeshAxis.ExpertParallel);

    /// <summary>The ranks that hold the same experts of one replica, over which their parameters are sharded: <c>dp_mod_ep</c>.</summary>
    public IProcessGroup DataModExpert
    {
        get
        {
            var (name, members) = MeshLayout.DataModExpertOf(Sizes, Rank);
            return Of(name, members);
        }
    }

    /// <summary>This rank's position in the group over some axes. Communicates nothing.</summary>
    /// <exception cref="ArgumentException">When the mesh has no such group.</exception>
    public int Coordinate(params ReadOnlySpan<MeshAxis> axes) => MeshLayout.Coordinate(Sizes, Rank, axes);

    /// <summary>
    /// The group of the ranks that differ from this one along the given axes only, flattened in the order of the mesh, whatever the order of the
    /// axes. Axes of one rank count for nothing: without cp, <c>fsdp</c> is the group <c>dp_shard</c>.
    /// </summary>
    /// <exception cref="ArgumentException">When the mesh has no such group: axes of experts beside those that they take their ranks from.</exception>
    public IProcessGroup Group(params ReadOnlySpan<MeshAxis> axes) => Of(MeshLayout.Name(Sizes, axes), MeshLayout.Members(Sizes, Rank, axes));

    /// <summary>
    /// The ranks over which the parallelism of an axis works: those along it; that of <c>dp_shard</c> works over <see cref="FullyShard"/>.
    /// </summary>
    public IProcessGroup Over(MeshAxis axis) => axis == MeshAxis.DataParallelShard ? FullyShard : Group(axis);

    private IProcessGroup Of(string name, IReadOnlyList<int> members)
    {
        lock (gate)
        {
            if (!made.TryGetValue(name, out var group)) made[name] = group = make(name, members);
            return group;
        }
    }
}
