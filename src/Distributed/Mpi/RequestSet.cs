namespace Titan.Distributed.Mpi;

/// <summary>Messages under way. Used on the communication thread only.</summary>
internal sealed unsafe class RequestSet(MpiLibrary mpi, MpiPatience patience)
{
    private nint[] slots = GC.AllocateArray<nint>(16, pinned: true);
    private int count;

    public void Send(nint comm, nint address, long bytes, int peer, int tag)
    {
        for (long sent = 0; sent < bytes; sent += MpiLibrary.LargestMessage)
            mpi.Send(comm, (nint)(address + sent), (int)Math.Min(bytes - sent, MpiLibrary.LargestMessage), peer, tag, Next());
    }

    public void Receive(nint comm, nint address, long bytes, int peer, int tag)
    {
        for (long got = 0; got < bytes; got += MpiLibrary.LargestMessage)
            mpi.Receive(comm, (nint)(address + got), (int)Math.Min(bytes - got, MpiLibrary.LargestMessage), peer, tag, Next());
    }

    public void Broadcast(nint comm, nint address, long bytes, int source)
    {
        for (long sent = 0; sent < bytes; sent += MpiLibrary.LargestMessage)
            mpi.Broadcast(comm, (nint)(address + sent), (int)Math.Min(bytes - sent, MpiLibrary.LargestMessage), source, Next());
    }

    public void Barrier(nint comm) => mpi.Barrier(comm, Next());

    /// <summary>Returns when all are done. Messages only move inside MPI's own calls: tests them again and again, sleeping in between when nothing moves.</summary>
    public void Wait()
    {
        patience.Begin();
        while (count > 0)
        {
            fixed (nint* first = slots)
                for (var i = count - 1; i >= 0; i--)
                    if (mpi.Test(first + i))
                    {
                        first[i] = first[--count];
                        patience.Moved();
                    }

            if (count > 0) patience.Pause();
        }
    }

    private nint* Next()
    {
        if (count == slots.Length)
        {
            var larger = GC.AllocateArray<nint>(slots.Length * 2, pinned: true);
            slots.CopyTo(larger, 0);
            slots = larger;
        }

        slots[count] = 0;
        // Pinned: the address holds after the fixed block.
        fixed (nint* slot = &slots[count++]) return slot;
    }
}
