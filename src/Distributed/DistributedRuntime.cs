using System.Diagnostics.CodeAnalysis;
using Titan.Abstractions;
using Titan.Distributed.Collectives;
using Titan.Distributed.Launch;
using Titan.Distributed.Mpi;
using static TorchSharp.torch;

namespace Titan.Distributed;

/// <summary>
/// This process's place in its job. Started by <c>mpirun</c>, <c>mpiexec</c> or <c>srun</c> it is one rank of several, joined by MPI; started by itself it is rank 0 of 1 and
/// loads no MPI library. One per process. After a failure call <see cref="Abort"/>, not <see cref="Dispose"/>, which waits for the other ranks.
/// </summary>
public sealed class DistributedRuntime : IDisposable
{
    private readonly CommunicationThread? thread;
    private readonly DistributedOptions options;
    private bool disposed;

    private DistributedRuntime(DistributedOptions options, CommunicationThread? thread)
    {
        (this.options, this.thread) = (options, thread);
        WorldGroup = thread is null ? new SingleRankGroup("world") : Group("world", thread.WorldCommunicator);
    }

    /// <summary>This process's number in the job, from 0.</summary>
    public int Rank => thread?.Ranks.Rank ?? 0;

    /// <summary>Number of processes in the job.</summary>
    public int World => thread?.Ranks.World ?? 1;

    /// <summary>This process's number among those of its machine, from 0: the GPU that it takes.</summary>
    public int LocalRank => thread?.Local.Rank ?? 0;

    /// <summary>Number of the job's processes on this machine.</summary>
    public int LocalSize => thread?.Local.Size ?? 1;

    /// <summary>The machine's name.</summary>
    public string Host => thread?.Ranks.Hosts[Rank] ?? Environment.MachineName;

    /// <summary>The machine of each rank.</summary>
    public IReadOnlyList<string> Hosts => thread?.Ranks.Hosts ?? [Environment.MachineName];

    /// <summary>What the MPI library says it is, for example <c>Open MPI v4.1.4</c>; <c>none</c> for a process of its own.</summary>
    public string Library => thread?.Version ?? "none";

    /// <summary>All ranks, for tensors in CPU memory.</summary>
    public IProcessGroup WorldGroup { get; }

    /// <summary>What this process has communicated.</summary>
    public CommunicationCounter Counter => thread?.Counter ?? single;

    private readonly CommunicationCounter single = new();

    internal CommunicationThread? Thread => thread;

    /// <summary>Joins the job. Returns when all ranks have.</summary>
    /// <param name="options">Timeouts.</param>
    /// <exception cref="TitanException">
    /// <see cref="ExitCode.Hardware"/>: the launcher's MPI library is not installed; <see cref="ExitCode.Usage"/>: <c>MPI_LIBRARY</c> cannot be loaded, or the library is not the launcher's.
    /// </exception>
    public static DistributedRuntime Start(DistributedOptions? options = null)
    {
        options ??= new DistributedOptions();
        var launch = LaunchEnvironment.Detect();
        if (launch.Launcher == Launcher.None) return new(options, null);

        // UCX would turn every null reference into a crash: .NET handles that signal itself.
        NativeProcess.SetDefault("UCX_HANDLE_ERRORS", "none");
        NativeProcess.SetDefault("UCX_ERROR_SIGNALS", "");
        var thread = CommunicationThread.Start(
            () => new MpiLibrary(MpiLocation.Load(launch.Launcher, Environment.GetEnvironmentVariable("MPI_LIBRARY"))), options);
        if (launch.World is { } expected && thread.Ranks.World != expected)
        {
            throw new TitanException(ExitCode.Usage,
                $"the launcher ({launch.Launcher}) started {expected} ranks, but {thread.Version} sees {thread.Ranks.World}: it is not the launcher's MPI library. " +
                "Set MPI_LIBRARY to the launcher's library; under srun pass --mpi=pmix (Open MPI) or --mpi=pmi2 (MPICH)");
        }

        return new(options, thread);
    }

    /// <summary>
    /// Arranges the ranks and makes the communicators of all groups that the mesh can be asked for. Every rank calls it with the same sizes.
    /// </summary>
    /// <param name="dimensions">Sizes; their product is <see cref="World"/>.</param>
    /// <param name="device">Where the groups' tensors are: on the CPU they travel over MPI, on CUDA over NCCL.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/> when the product is another.</exception>
    public DeviceMesh CreateMesh(ParallelDimensions dimensions, Device device)
    {
        if (dimensions.World != World)
            throw new TitanException(ExitCode.Usage, $"the mesh has {dimensions.World} ranks, the job {World}: set NGPU={dimensions.World} or change the degrees in [parallelism]");
        var groups = new GroupFactory(this, device);
        var mesh = new DeviceMesh(dimensions, Rank, groups.Make);
        foreach (var (name, members) in MeshLayout.Groups(dimensions, Rank)) groups.Prepare(name, members);
        return mesh;
    }

    /// <summary>How long a collective may wait from now on: the trainer calls it after the first step, which is slower (<c>comm.train_timeout_seconds</c>).</summary>
    public void SetTimeout(TimeSpan timeout)
    {
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(timeout, TimeSpan.Zero);
        if (thread is not null) thread.Timeout = timeout;
    }

    /// <summary>Writes the message to stderr and ends all ranks of the job, this one included, with the exit code. Does not return.</summary>
    [DoesNotReturn]
    public void Abort(ExitCode code, string message)
    {
        // A message of this library names the rank already.
        if (thread is not null) thread.Abort(code, message.Contains(thread.Ranks.Me, StringComparison.Ordinal) ? message : $"{thread.Ranks.Me}: {message}");
        options.Error.WriteLine(message);
        options.Error.Flush();
        NativeProcess.ExitNow((int)code);
    }

    /// <summary>Waits until every rank has come here and all collectives are done, then leaves the job. After a failed collective it returns at once.</summary>
    public void Dispose()
    {
        if (disposed) return;
        disposed = true;
        if (thread is null) return;
        try
        {
            // By name, so that the watchdog can say who has not come.
            WorldGroup.Barrier();
        }
        catch (TitanException)
        {
            // The caller knows: the collective that failed has thrown.
            return;
        }

        thread.Complete();
    }

    internal IProcessGroup Group(string name, MpiCommunicator communicator) =>
        communicator.Size == 1 ? new SingleRankGroup(name) : new MpiProcessGroup(name, thread!, communicator);
}
