using System.Runtime.InteropServices;
using System.Text;
using Titan.Abstractions;

namespace Titan.Distributed.Mpi;

/// <summary>MPI's functions, bound by name at run time: one code path for Open MPI and the MPICH family. It only moves bytes; numbers are added in C#.</summary>
internal sealed unsafe class MpiLibrary
{
    /// <summary>Counts are ints in MPI: longer messages travel in pieces of this size. The same on every rank; only tests change it.</summary>
    public static int LargestMessage { get; set; } = 1 << 30;

    private readonly delegate* unmanaged<int*, byte***, int, int*, int> initThread;
    private readonly delegate* unmanaged<int> finalize;
    private readonly delegate* unmanaged<nint, int, int> abort;
    private readonly delegate* unmanaged<nint, int*, int> commRank, commSize;
    private readonly delegate* unmanaged<nint, int, int, nint*, int> commSplit;
    private readonly delegate* unmanaged<nint, int, int, nint, nint*, int> commSplitType;
    private readonly delegate* unmanaged<nint, nint, int> setErrorHandler;
    private readonly delegate* unmanaged<int, byte*, int*, int> errorString;
    private readonly delegate* unmanaged<byte*, int*, int> libraryVersion;
    private readonly delegate* unmanaged<void*, int, nint, int, int, nint, nint*, int> isend, irecv;
    private readonly delegate* unmanaged<void*, int, nint, int, int, nint, nint, int> recv;
    private readonly delegate* unmanaged<int, int, nint, int*, nint, int> iprobe;
    private readonly delegate* unmanaged<nint*, int*, nint, int> test;
    private readonly delegate* unmanaged<void*, int, nint, int, nint, nint*, int> ibcast;
    private readonly delegate* unmanaged<nint, nint*, int> ibarrier;
    private readonly delegate* unmanaged<void*, int, nint, void*, int, nint, nint, int> allgather;

    public MpiLibrary(nint library)
    {
        nint Export(string name) => NativeLibrary.TryGetExport(library, name, out var address)
            ? address
            : throw new TitanException(ExitCode.Hardware, $"the MPI library has no function {name}: expected Open MPI 4 or later, or MPICH 3 or later");
        Handle = library;
        initThread = (delegate* unmanaged<int*, byte***, int, int*, int>)Export("MPI_Init_thread");
        finalize = (delegate* unmanaged<int>)Export("MPI_Finalize");
        abort = (delegate* unmanaged<nint, int, int>)Export("MPI_Abort");
        commRank = (delegate* unmanaged<nint, int*, int>)Export("MPI_Comm_rank");
        commSize = (delegate* unmanaged<nint, int*, int>)Export("MPI_Comm_size");
        commSplit = (delegate* unmanaged<nint, int, int, nint*, int>)Export("MPI_Comm_split");
        commSplitType = (delegate* unmanaged<nint, int, int, nint, nint*, int>)Export("MPI_Comm_split_type");
        setErrorHandler = (delegate* unmanaged<nint, nint, int>)Export("MPI_Comm_set_errhandler");
        errorString = (delegate* unmanaged<int, byte*, int*, int>)Export("MPI_Error_string");
        libraryVersion = (delegate* unmanaged<byte*, int*, int>)Export("MPI_Get_library_version");
        isend = (delegate* unmanaged<void*, int, nint, int, int, nint, nint*, int>)Export("MPI_Isend");
        irecv = (delegate* unmanaged<void*, int, nint, int, int, nint, nint*, int>)Export("MPI_Irecv");
        recv = (delegate* unmanaged<void*, int, nint, int, int, nint, nint, int>)Export("MPI_Recv");
        iprobe = (delegate* unmanaged<int, int, nint, int*, nint, int>)Export("MPI_Iprobe");
        test = (delegate* unmanaged<nint*, int*, nint, int>)Export("MPI_Test");
        ibcast = (delegate* unmanaged<void*, int, nint, int, nint, nint*, int>)Export("MPI_Ibcast");
        ibarrier = (delegate* unmanaged<nint, nint*, int>)Export("MPI_Ibarrier");
        allgather = (delegate* unmanaged<void*, int, nint, void*, int, nint, nint, int>)Export("MPI_Allgather");
        Abi = MpiAbi.Of(library);
    }

    public nint Handle { get; }

    public MpiAbi Abi { get; }

    public nint World => Abi.CommWorld;

    /// <summary>Starts MPI. Any thread may end the job later; everything else stays on the calling thread.</summary>
    public void Initialize()
    {
        const int multiple = 3;
        int granted;
        Check(initThread(null, null, multiple, &granted), "MPI_Init_thread");
        Check(setErrorHandler(World, Abi.ErrorsReturn), "MPI_Comm_set_errhandler");
    }

    public void Complete() => Check(finalize(), "MPI_Finalize");

    public void Abort(int code) => abort(World, code);

    /// <summary>The library's own words about itself, on one line.</summary>
    public string Version()
    {
        var text = stackalloc byte[8192];
        int length;
        Check(libraryVersion(text, &length), "MPI_Get_library_version");
        var version = Encoding.UTF8.GetString(text, Math.Clamp(length, 0, 8192)).TrimEnd('\0', '\n', ' ');
        return version.Split(['\n', ','], 2)[0].Replace("\t", " ").Trim();
    }

    public (int Rank, int Size) Position(nint comm)
    {
        int rank, size;
        Check(commRank(comm, &rank), "MPI_Comm_rank");
        Check(commSize(comm, &size), "MPI_Comm_size");
        return (rank, size);
    }

    /// <summary>A communicator of the ranks with the same colour. Collective, blocking.</summary>
    public nint Split(nint comm, int color, int key)
    {
        nint result = 0;
        Check(commSplit(comm, color, key, &result), "MPI_Comm_split");
        Check(setErrorHandler(result, Abi.ErrorsReturn), "MPI_Comm_set_errhandler");
        return result;
    }

    /// <summary>A communicator of the ranks that share this machine's memory. Collective, blocking.</summary>
    public nint SplitByMachine(nint comm)
    {
        nint result = 0;
        Check(commSplitType(comm, Abi.CommTypeShared, 0, Abi.InfoNull, &result), "MPI_Comm_split_type");
        return result;
    }

    /// <summary>Every rank's bytes, in rank order. Blocking: for the start.</summary>
    public byte[] AllGather(nint comm, ReadOnlySpan<byte> mine, int size)
    {
        var all = new byte[mine.Length * size];
        fixed (byte* from = mine)
        fixed (byte* to = all)
            Check(allgather(from, mine.Length, Abi.Byte, to, mine.Length, Abi.Byte, comm), "MPI_Allgather");
        return all;
    }

    public void Send(nint comm, nint address, int bytes, int peer, int tag, nint* request) => Check(isend((void*)address, bytes, Abi.Byte, peer, tag, comm, request), "MPI_Isend");

    public void Receive(nint comm, nint address, int bytes, int peer, int tag, nint* request) => Check(irecv((void*)address, bytes, Abi.Byte, peer, tag, comm, request), "MPI_Irecv");

    public void Broadcast(nint comm, nint address, int bytes, int source, nint* request) => Check(ibcast((void*)address, bytes, Abi.Byte, source, comm, request), "MPI_Ibcast");

    public void Barrier(nint comm, nint* request) => Check(ibarrier(comm, request), "MPI_Ibarrier");

    public bool Test(nint* request)
    {
        int done = 0;
        Check(test(request, &done, Abi.StatusIgnore), "MPI_Test");
        return done != 0;
    }

    /// <summary>Takes a message of a fixed length that is already there, if any.</summary>
    public bool TryReceive(nint comm, Span<byte> message, out int source, out int tag)
    {
        var status = stackalloc byte[64];
        int found = 0;
        (source, tag) = (-1, -1);
        Check(iprobe(Abi.AnySource, Abi.AnyTag, comm, &found, (nint)status), "MPI_Iprobe");
        if (found == 0) return false;
        source = *(int*)(status + Abi.StatusSource);
        tag = *(int*)(status + Abi.StatusTag);
        fixed (byte* to = message) Check(recv(to, message.Length, Abi.Byte, source, tag, comm, Abi.StatusIgnore), "MPI_Recv");
        return true;
    }

    private void Check(int code, string function)
    {
        if (code == 0) return;
        var text = stackalloc byte[8192];
        int length = 0;
        var reason = errorString(code, text, &length) == 0 ? Encoding.UTF8.GetString(text, Math.Clamp(length, 0, 8192)).TrimEnd('\0', '\n') : "unknown";
        throw new MpiException($"{function}: {reason.ReplaceLineEndings(" ")} (error {code})");
    }
}

/// <summary>What the MPI library reported; the caller says of which collective.</summary>
internal sealed class MpiException(string message) : Exception(message);
