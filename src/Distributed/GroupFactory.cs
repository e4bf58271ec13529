using TorchSharp;
using Titan.Abstractions;
using Titan.Distributed.Mpi;
using Titan.Distributed.Nccl;
using static TorchSharp.torch;

namespace Titan.Distributed;

/// <summary>Makes the groups of one mesh: over NCCL for CUDA, over MPI for the CPU. Groups with the same members share a communicator.</summary>
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

    /// <param name="name">Name for messages.</param>
    /// <param name="members">World ranks.</param>
    /// <param name="partition">The same for groups with the same members.</param>
    public IProcessGroup Make(string name, int[] members, string partition)
    {
        if (members.Length == 1 || runtime.Thread is not { } thread) return new SingleRankGroup(name);
        if (!communicators.TryGetValue(partition, out var communicator))
        {
            // A barrier first: its watchdog says which rank has not come, the split could not.
            runtime.WorldGroup.Barrier();
            communicator = communicators[partition] = thread.Split(name, members[0], members);
        }

        return nccl is null ? new MpiProcessGroup(name, thread, communicator) : nccl.Make(name, communicator);
    }
}
