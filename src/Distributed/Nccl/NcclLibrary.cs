using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Titan.Abstractions;
using Titan.Distributed.Mpi;

namespace Titan.Distributed.Nccl;

/// <summary>What names a communicator before it exists: 128 bytes that its rank 0 makes and every rank passes, by value.</summary>
[InlineArray(Bytes)]
internal struct NcclUniqueId
{
    public const int Bytes = 128;

    private byte first;
}

/// <summary>NCCL's element types.</summary>
internal enum NcclType
{
    UInt8 = 1,
    Int32 = 2,
    Int64 = 4,
    Float32 = 7,
    Float64 = 8,
    BFloat16 = 9,
}

/// <summary>NCCL's reductions.</summary>
internal enum NcclOperation
{
    Sum = 0,
    Max = 2,
    Min = 3,
}

/// <summary>NCCL's functions, bound at run time. Signatures as in NCCL 2's nccl.h. Tested against a library with the same interface on host memory; not run on a GPU.</summary>
internal sealed unsafe class NcclLibrary
{
    private readonly delegate* unmanaged<int*, int> getVersion;
    private readonly delegate* unmanaged<NcclUniqueId*, int> getUniqueId;
    private readonly delegate* unmanaged<nint*, int, NcclUniqueId, int, int> commInitRank;
    private readonly delegate* unmanaged<nint, int> commDestroy;
    private readonly delegate* unmanaged<nint, int*, int> commGetAsyncError;
    private readonly delegate* unmanaged<nint, nint, nuint, int, nint, nint, int> allGather;
    private readonly delegate* unmanaged<nint, nint, nuint, int, int, nint, nint, int> reduceScatter, allReduce, broadcast;
    private readonly delegate* unmanaged<nint, nuint, int, int, nint, nint, int> send, receive;
    private readonly delegate* unmanaged<int> groupStart, groupEnd;
    private readonly delegate* unmanaged<int, nint> getErrorString;
    private readonly delegate* unmanaged<nint, nint> getLastError;

    public NcclLibrary(nint library)
    {
        nint Export(string name) => NativeLibrary.TryGetExport(library, name, out var address)
            ? address
            : throw new TitanException(ExitCode.Hardware, $"the NCCL library has no function {name}: expected NCCL 2.8 or later");
        getVersion = (delegate* unmanaged<int*, int>)Export("ncclGetVersion");
        getUniqueId = (delegate* unmanaged<NcclUniqueId*, int>)Export("ncclGetUniqueId");
        commInitRank = (delegate* unmanaged<nint*, int, NcclUniqueId, int, int>)Export("ncclCommInitRank");
        commDestroy = (delegate* unmanaged<nint, int>)Export("ncclCommDestroy");
        commGetAsyncError = (delegate* unmanaged<nint, int*, int>)Export("ncclCommGetAsyncError");
        allGather = (delegate* unmanaged<nint, nint, nuint, int, nint, nint, int>)Export("ncclAllGather");
        reduceScatter = (delegate* unmanaged<nint, nint, nuint, int, int, nint, nint, int>)Export("ncclReduceScatter");
        allReduce = (delegate* unmanaged<nint, nint, nuint, int, int, nint, nint, int>)Export("ncclAllReduce");
        broadcast = (delegate* unmanaged<nint, nint, nuint, int, int, nint, nint, int>)Export("ncclBroadcast");
        send = (delegate* unmanaged<nint, nuint, int, int, nint, nint, int>)Export("ncclSend");
        receive = (delegate* unmanaged<nint, nuint, int, int, nint, nint, int>)Export("ncclRecv");
        groupStart = (delegate* unmanaged<int>)Export("ncclGroupStart");
        groupEnd = (delegate* unmanaged<int>)Export("ncclGroupEnd");
        getErrorString = (delegate* unmanaged<int, nint>)Export("ncclGetErrorString");
        // Since 2.13.
        if (NativeLibrary.TryGetExport(library, "ncclGetLastError", out var last)) getLastError = (delegate* unmanaged<nint, nint>)last;
    }

    /// <summary>"2.22.3".</summary>
    public string Version()
    {
        int version;
        Check(getVersion(&version), "ncclGetVersion", 0);
        return $"{version / 10000}.{version / 100 % 100}.{version % 100}";
    }

    public NcclUniqueId UniqueId()
    {
        NcclUniqueId id;
        Check(getUniqueId(&id), "ncclGetUniqueId", 0);
        return id;
    }

    /// <summary>Joins a communicator; returns when all ranks have. The device's context is current.</summary>
    public nint Join(NcclUniqueId id, int rank, int size)
    {
        nint comm = 0;
        Check(commInitRank(&comm, size, id, rank), "ncclCommInitRank", 0);
        return comm;
    }

    public void Destroy(nint comm) => commDestroy(comm);

    /// <summary>What went wrong after a call had returned.</summary>
    public void CheckLater(nint comm)
    {
        int code = 0;
        Check(commGetAsyncError(comm, &code), "ncclCommGetAsyncError", comm);
        const int inProgress = 7;
        if (code != inProgress) Check(code, "a collective", comm);
    }

    public void AllGather(nint output, nint input, long bytes, nint comm, nint stream) =>
        Check(allGather(input, output, (nuint)bytes, (int)NcclType.UInt8, comm, stream), "ncclAllGather", comm);

    public void ReduceScatter(nint output, nint input, long count, NcclType type, nint comm, nint stream) =>
        Check(reduceScatter(input, output, (nuint)count, (int)type, (int)NcclOperation.Sum, comm, stream), "ncclReduceScatter", comm);

    public void AllReduce(nint tensor, long count, NcclType type, NcclOperation operation, nint comm, nint stream) =>
        Check(allReduce(tensor, tensor, (nuint)count, (int)type, (int)operation, comm, stream), "ncclAllReduce", comm);

    public void Broadcast(nint tensor, long bytes, int source, nint comm, nint stream) =>
        Check(broadcast(tensor, tensor, (nuint)bytes, (int)NcclType.UInt8, source, comm, stream), "ncclBroadcast", comm);

    /// <summary>Several collectives as one launch.</summary>
    public void AtOnce(nint comm, int count, Action<int> collective)
    {
        if (count > 1) Check(groupStart(), "ncclGroupStart", comm);
        for (var i = 0; i < count; i++) collective(i);
        if (count > 1) Check(groupEnd(), "ncclGroupEnd", comm);
    }

    public void AllToAll(nint output, nint input, long slice, int size, nint comm, nint stream)
    {
        Check(groupStart(), "ncclGroupStart", comm);
        for (var peer = 0; peer < size; peer++)
        {
            Check(send((nint)(input + peer * slice), (nuint)slice, (int)NcclType.UInt8, peer, comm, stream), "ncclSend", comm);
            Check(receive((nint)(output + peer * slice), (nuint)slice, (int)NcclType.UInt8, peer, comm, stream), "ncclRecv", comm);
        }

        Check(groupEnd(), "ncclGroupEnd", comm);
    }

    /// <summary>
    /// Slices that lie one after the other: bytes to each rank of <paramref name="input"/>, bytes from each in <paramref name="output"/>.
    /// </summary>
    public void AllToAll(nint output, nint input, long[] outputs, long[] inputs, nint comm, nint stream)
    {
        var messages = new List<Message>();
        for (var peer = 0; peer < inputs.Length; peer++)
        {
            messages.Add(new Message(input, inputs[peer], (int)NcclType.UInt8, peer, 0, IsSend: true));
            messages.Add(new Message(output, outputs[peer], (int)NcclType.UInt8, peer, 0, IsSend: false));
            (input, output) = ((nint)(input + inputs[peer]), (nint)(output + outputs[peer]));
        }

        Exchange(messages, comm, stream);
    }

    /// <summary>Messages as one launch, so that none waits for another. One of no bytes is none: both sides know its length.</summary>
    public void Exchange(IReadOnlyList<Message> messages, nint comm, nint stream)
    {
        Check(groupStart(), "ncclGroupStart", comm);
        foreach (var m in messages.Where(m => m.Bytes > 0))
        {
            if (m.IsSend) Check(send(m.Address, (nuint)m.Bytes, (int)NcclType.UInt8, m.Peer, comm, stream), "ncclSend", comm);
            else Check(receive(m.Address, (nuint)m.Bytes, (int)NcclType.UInt8, m.Peer, comm, stream), "ncclRecv", comm);
        }

        Check(groupEnd(), "ncclGroupEnd", comm);
    }

    private void Check(int code, string function, nint comm)
    {
        if (code == 0) return;
        var detail = getLastError is null ? null : Marshal.PtrToStringUTF8(getLastError(comm));
        throw new NcclException($"{function}: {Marshal.PtrToStringUTF8(getErrorString(code))} (error {code})" + (string.IsNullOrWhiteSpace(detail) ? "" : $": {detail.ReplaceLineEndings(" ").Trim()}"));
    }
}

/// <summary>What NCCL reported; the caller says of which collective.</summary>
internal sealed class NcclException(string message) : Exception(message);
