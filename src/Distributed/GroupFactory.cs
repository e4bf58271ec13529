using TorchSharp;
using Titan.Abstractions;
using Titan.Distributed.Mpi;
using Titan.Distributed.Nccl;
using static TorchSharp.torch;

namespace Titan.Distributed;

/// <summary>
/// Makes the groups of one mesh: over NCCL for CUDA, over MPI for the CPU. All ranks must make communicators in the same order, so all that the mesh
/// can be asked for are made at once, when the mesh is; later a group is looked up, and nobody waits for a rank that does not ask. Over NCCL, whose
/// communicators take memory of the device, the members join when they ask.
/// </summary>
internal sealed class GroupFactory
{
    private readonly DistributedRuntime runtime;
    private readonly NcclGroups? nccl;
    private readonly Dictionary<string, MpiCommunicator> communicators = [];

    public GroupFactory(DistributedRuntime runtime, Device device)
    {
        this.runtime = runtime;
        if (runtime.Thread is not { } thread) return;
        nccl = device.type switch
        {
            DeviceType.CPU => null,
            DeviceType.CUDA => new NcclGroups(thread, device),
            _ => throw new TitanException(ExitCode.Hardware, $"ranks on {device} cannot communicate: expected cpu (over MPI) or cuda (over NCCL)"),
        };
    }

    /// <summary>Makes a communicator. Every rank calls it in the same order, each with its own members.</summary>
    /// <param name="name">Name for messages.</param>
    /// <param name="members">World ranks.</param>
    public void Prepare(string name, IReadOnlyList<int> members)
    {
        if (members.Count == 1 || runtime.Thread is not { } thread || communicators.ContainsKey(Key(members))) return;
        // A barrier first: its watchdog says which rank has not come, the split could not.
        runtime.WorldGroup.Barrier();
        communicators.Add(Key(members), thread.Split(name, members[0], [.. members]));
    }

    /// <summary>A group over a communicator that was made.</summary>
    /// <param name="name">Name for messages.</param>
    /// <param name="members">World ranks.</param>
    public IProcessGroup Make(string name, IReadOnlyList<int> members)
    {
        if (members.Count == 1 || runtime.Thread is not { } thread) return new SingleRankGroup(name);
        if (!communicators.TryGetValue(Key(members), out var communicator))
            throw new InvalidOperationException($"group '{name}' of ranks {Key(members)} was not made with the mesh");
        return nccl is null ? new MpiProcessGroup(name, thread, communicator) : nccl.Make(name, communicator);
    }

    private static string Key(IReadOnlyList<int> members) => string.Join(',', members);
}
