using Titan.Abstractions;
using Titan.Distributed.Mpi;
using static TorchSharp.torch;

namespace Titan.Distributed;

/// <summary>Makes the groups of one mesh. Groups with the same members share a communicator.</summary>
internal sealed class GroupFactory(DistributedRuntime runtime, Device device)
{
    private readonly Dictionary<string, MpiCommunicator> communicators = [];

    /// <param name="name">Name for messages.</param>
    /// <param name="members">World ranks.</param>
    /// <param name="partition">The same for groups with the same members.</param>
    public IProcessGroup Make(string name, int[] members, string partition)
    {
        if (members.Length == 1 || runtime.Thread is not { } thread) return new SingleRankGroup(name);
        if (device.type != TorchSharp.DeviceType.CPU) throw new TitanException(ExitCode.Hardware, $"no groups on {device}");
        if (!communicators.TryGetValue(partition, out var communicator))
        {
            // A barrier first: its watchdog says which rank has not come, the split could not.
            runtime.WorldGroup.Barrier();
            communicator = communicators[partition] = thread.Split(name, members[0], members);
        }

        return new MpiProcessGroup(name, thread, communicator);
    }
}
