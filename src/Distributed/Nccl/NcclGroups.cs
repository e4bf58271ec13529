using System.Runtime.CompilerServices;
using Titan.Abstractions;
using Titan.Distributed.Mpi;
using static TorchSharp.torch;

namespace Titan.Distributed.Nccl;

/// <summary>Makes groups over NCCL: MPI carries the id of each communicator, and watches its collectives.</summary>
internal sealed class NcclGroups(CommunicationThread thread, Device device)
{
    private readonly NcclLibrary nccl = new(NcclLocation.Load());
    private readonly CudaCommunicationStream stream = CudaCommunicationStream.Of(Math.Max(0, device.index));
    private readonly Dictionary<MpiCommunicator, nint> joined = [];

    /// <summary>A group of the members of an MPI communicator.</summary>
    public NcclProcessGroup Make(string name, MpiCommunicator members)
    {
        if (!joined.TryGetValue(members, out var comm))
        {
            var id = Share(name, members);
            // On the communication thread, since joining waits for the others: its timer sees when that takes too long.
            thread.Run($"ncclCommInitRank of group '{name}'", () =>
            {
                stream.MakeCurrent();
                comm = nccl.Join(id, members.Rank, members.Size);
            });
            joined[members] = comm;
        }

        var group = new NcclProcessGroup(name, nccl, comm, members, stream, device, thread.Counter);
        thread.Watch(() => group.Oldest() is { } work ? new PendingCollective(members, work.Call, work.StartedAt) : null);
        return group;
    }

    private NcclUniqueId Share(string name, MpiCommunicator members)
    {
        using var scope = NewDisposeScope();
        var bytes = zeros(NcclUniqueId.Bytes, dtype: ScalarType.Byte);
        var id = members.Rank == 0 ? nccl.UniqueId() : default;
        if (members.Rank == 0) bytes = tensor(((ReadOnlySpan<byte>)id).ToArray());
        ((IProcessGroup)new MpiProcessGroup(name, thread, members)).Broadcast(bytes, 0);
        return Unsafe.As<byte, NcclUniqueId>(ref bytes.data<byte>().ToArray()[0]);
    }
}
