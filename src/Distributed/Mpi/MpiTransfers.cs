using System.Runtime.InteropServices;
using Titan.Abstractions;
using Titan.Distributed.Collectives;
using static TorchSharp.torch;

namespace Titan.Distributed.Mpi;

/// <summary>
/// The collectives, built of messages between two ranks. Addresses, bytes; blocking; on the communication thread only. Messages between the same two ranks arrive in the order
/// in which they were sent, and every rank sends and receives the same pieces in the same order.
/// </summary>
internal sealed unsafe class MpiTransfers : IDisposable
{
    private const int Payload = 1, Header = 2, FirstMessage = 4;

    /// <summary>Up to here everybody sends to everybody at once; beyond, in a ring, where each byte crosses a link between two hosts once.</summary>
    private const long SmallSlice = 32 * 1024;

    /// <summary>Pieces of a reduce-scatter under way at a time, each summed while it is in the cache and the next ones travel.</summary>
    private const int Window = 4;

    private const long LargestPiece = 1 << 20, ScratchLimit = 32 << 20;

    private readonly PageAlignedBuffer scratch = new();
    private readonly RequestSet requests;
    private readonly RequestSet[] pieces = new RequestSet[Window];

    public MpiTransfers(MpiLibrary mpi, Action check)
    {
        var patience = new MpiPatience(check);
        requests = new RequestSet(mpi, patience);
        for (var i = 0; i < Window; i++) pieces[i] = new RequestSet(mpi, patience);
    }

    /// <summary>Every member's few bytes, in rank order, before the payload.</summary>
    public void GatherHeaders(MpiCommunicator comm, nint all, int bytes) => SendToAll(comm, all + comm.Rank * bytes, all, bytes, Header);

    public void AllGather(MpiCommunicator comm, ReadOnlySpan<GatherPart> parts)
    {
        long total = 0;
        foreach (var part in parts) total += part.Slice;
        if (total <= SmallSlice)
        {
            foreach (var part in parts) Copy(part.At(comm.Rank), part.Input, part.Slice);
            for (var step = 1; step < comm.Size; step++)
            {
                var (to, from) = Neighbours(comm, step);
                foreach (var part in parts)
                {
                    requests.Receive(comm.Handle, part.At(from), part.Slice, from, Payload);
                    requests.Send(comm.Handle, part.At(comm.Rank), part.Slice, to, Payload);
                }
            }

            requests.Wait();
            return;
        }

        var (right, left) = Neighbours(comm, 1);
        for (var step = 0; step < comm.Size - 1; step++)
        {
            var send = (comm.Rank - step + comm.Size) % comm.Size;
            var receive = (comm.Rank - step - 1 + comm.Size) % comm.Size;
            foreach (var part in parts)
            {
                requests.Receive(comm.Handle, part.At(receive), part.Slice, left, Payload);
                requests.Send(comm.Handle, step == 0 ? part.Input : part.At(send), part.Slice, right, Payload);
            }

            if (step == 0) foreach (var part in parts) Copy(part.At(comm.Rank), part.Input, part.Slice);
            requests.Wait();
        }
    }

    public void AllToAll(MpiCommunicator comm, nint output, nint input, long slice)
    {
        for (var step = 1; step < comm.Size; step++)
        {
            var (to, from) = Neighbours(comm, step);
            requests.Receive(comm.Handle, (nint)(output + from * slice), slice, from, Payload);
            requests.Send(comm.Handle, (nint)(input + to * slice), slice, to, Payload);
        }

        Copy((nint)(output + comm.Rank * slice), (nint)(input + comm.Rank * slice), slice);
        requests.Wait();
    }

    /// <summary>
    /// All-to-all of slices that lie one after the other: bytes to each rank of <paramref name="input"/>, bytes from each in
    /// <paramref name="output"/>.
    /// </summary>
    public void AllToAll(MpiCommunicator comm, nint output, nint input, ReadOnlySpan<long> outputs, ReadOnlySpan<long> inputs)
    {
        Span<nint> to = stackalloc nint[comm.Size], from = stackalloc nint[comm.Size];
        for (var rank = 0; rank < comm.Size; rank++)
        {
            from[rank] = rank == 0 ? output : (nint)(from[rank - 1] + outputs[rank - 1]);
            to[rank] = rank == 0 ? input : (nint)(to[rank - 1] + inputs[rank - 1]);
        }

        for (var step = 1; step < comm.Size; step++)
        {
            var (target, source) = Neighbours(comm, step);
            requests.Receive(comm.Handle, from[source], outputs[source], source, Payload);
            requests.Send(comm.Handle, to[target], inputs[target], target, Payload);
        }

        Copy(from[comm.Rank], to[comm.Rank], inputs[comm.Rank]);
        requests.Wait();
    }

    /// <summary>Messages, all under way at once.</summary>
    public void Exchange(MpiCommunicator comm, ReadOnlySpan<Message> messages)
    {
        foreach (var m in messages)
        {
            if (m.IsSend) requests.Send(comm.Handle, m.Address, m.Bytes, m.Peer, FirstMessage + m.Tag);
            else requests.Receive(comm.Handle, m.Address, m.Bytes, m.Peer, FirstMessage + m.Tag);
        }

        requests.Wait();
    }

    /// <summary>Sends each rank a number, and returns the one that each has sent.</summary>
    public long[] ExchangeNumbers(MpiCommunicator comm, long[] numbers) => Numbers(2L * comm.Size, all =>
    {
        numbers.CopyTo(new Span<long>((void*)all, comm.Size));
        AllToAll(comm, (nint)(all + comm.Size * sizeof(long)), all, sizeof(long));
    })[comm.Size..];

    /// <summary>Every rank's numbers, in rank order.</summary>
    public long[] GatherNumbers(MpiCommunicator comm, long[] numbers) => Numbers((long)comm.Size * numbers.Length, all =>
    {
        numbers.CopyTo(new Span<long>((long*)all + comm.Rank * numbers.Length, numbers.Length));
        GatherHeaders(comm, all, numbers.Length * sizeof(long));
    });

    /// <summary>All-to-all in pieces, each combined in rank order as soon as it is complete. An output may be this rank's slice of its input.</summary>
    public void ReduceScatter(MpiCommunicator comm, ScalarType type, ReduceOperation operation, ReadOnlySpan<ScatterPart> parts, long elementBytes)
    {
        var peers = comm.Size - 1;
        var largest = Math.Min(LargestPiece, ScratchLimit / (Window * peers)) / 64 * 64;
        var cut = new List<ScatterPart>();
        foreach (var part in parts)
            for (long start = 0; start < part.Slice; start += largest)
                cut.Add(new((nint)(part.Output + start), (nint)(part.Input + start), Math.Min(largest, part.Slice - start), part.Stride));
        var received = scratch.AtLeast(Math.Min(cut.Count, Window) * peers * largest);
        Span<nint> sources = stackalloc nint[comm.Size];
        for (int next = 0, done = 0; done < cut.Count; done++)
        {
            for (; next < Math.Min(cut.Count, done + Window); next++)
            {
                for (var step = 1; step < comm.Size; step++)
                {
                    var (to, from) = Neighbours(comm, step);
                    pieces[next % Window].Receive(comm.Handle, Place(next, from), cut[next].Slice, from, Payload);
                    pieces[next % Window].Send(comm.Handle, cut[next].At(to), cut[next].Slice, to, Payload);
                }
            }

            pieces[done % Window].Wait();
            for (var rank = 0; rank < comm.Size; rank++) sources[rank] = rank == comm.Rank ? cut[done].At(rank) : Place(done, rank);
            Reduction.Combine(type, operation, cut[done].Output, sources, cut[done].Slice / elementBytes);
        }

        nint Place(int index, int from) => (nint)(received + (index % Window * peers + (from < comm.Rank ? from : from - 1)) * largest);
    }

    /// <summary>Small tensors: everybody gets everything and combines. Large ones: each rank combines a slice, and the slices are gathered.</summary>
    public void AllReduce(MpiCommunicator comm, ScalarType type, ReduceOperation operation, nint tensor, long elements, long elementBytes)
    {
        var each = elements / comm.Size;
        if (elements * elementBytes <= SmallSlice)
        {
            CombineEverything(comm, type, operation, tensor, elements, elementBytes);
            return;
        }

        var slice = each * elementBytes;
        var mine = (nint)(tensor + comm.Rank * slice);
        ReduceScatter(comm, type, operation, [new ScatterPart(mine, tensor, slice, slice)], elementBytes);
        AllGather(comm, [new GatherPart(tensor, mine, slice)]);
        CombineEverything(comm, type, operation, (nint)(tensor + comm.Size * slice), elements - each * comm.Size, elementBytes);
    }

    public void Broadcast(MpiCommunicator comm, nint tensor, long bytes, int source)
    {
        requests.Broadcast(comm.Handle, tensor, bytes, source);
        requests.Wait();
    }

    public void Barrier(MpiCommunicator comm)
    {
        requests.Barrier(comm.Handle);
        requests.Wait();
    }

    public void Dispose() => scratch.Dispose();

    private void CombineEverything(MpiCommunicator comm, ScalarType type, ReduceOperation operation, nint tensor, long elements, long elementBytes)
    {
        if (elements == 0) return;
        var bytes = elements * elementBytes;
        var all = scratch.AtLeast(comm.Size * bytes);
        Copy((nint)(all + comm.Rank * bytes), tensor, bytes);
        SendToAll(comm, tensor, all, bytes, Payload);
        Span<nint> sources = stackalloc nint[comm.Size];
        for (var rank = 0; rank < comm.Size; rank++) sources[rank] = (nint)(all + rank * bytes);
        Reduction.Combine(type, operation, tensor, sources, elements);
    }

    /// <summary>Fills the other ranks' places of <paramref name="all"/>.</summary>
    private void SendToAll(MpiCommunicator comm, nint mine, nint all, long bytes, int tag)
    {
        for (var step = 1; step < comm.Size; step++)
        {
            var (to, from) = Neighbours(comm, step);
            requests.Receive(comm.Handle, (nint)(all + from * bytes), bytes, from, tag);
            requests.Send(comm.Handle, mine, bytes, to, tag);
        }

        requests.Wait();
    }

    private static long[] Numbers(long count, Action<nint> fill)
    {
        var all = (long*)NativeMemory.AllocZeroed((nuint)count, sizeof(long));
        // After an error MPI may still write here: not given back.
        fill((nint)all);
        var numbers = new Span<long>(all, (int)count).ToArray();
        NativeMemory.Free(all);
        return numbers;
    }

    /// <summary>Whom to send to and receive from, so that in each step every rank sends to another one.</summary>
    private static (int To, int From) Neighbours(MpiCommunicator comm, int step) => ((comm.Rank + step) % comm.Size, (comm.Rank + comm.Size - step) % comm.Size);

    private static void Copy(nint to, nint from, long bytes)
    {
        if (to != from) Buffer.MemoryCopy((void*)from, (void*)to, bytes, bytes);
    }
}
