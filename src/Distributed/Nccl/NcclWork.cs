using System.Diagnostics;
using Titan.Abstractions;
using Titan.Distributed.Collectives;
using Titan.Distributed.Mpi;

namespace Titan.Distributed.Nccl;

/// <summary>
/// A collective on the communication stream. Waiting orders torch's current stream after it and does not block the program. Holds the tensors until the device is done with them.
/// </summary>
internal sealed class NcclWork(CudaCommunicationStream stream, nint done, CollectiveCall call, TensorStorage[] tensors, Action? finish) : IWork
{
    private readonly Lock gate = new();
    private bool ordered, released;

    public CollectiveCall Call => call;

    public long StartedAt { get; } = Stopwatch.GetTimestamp();

    public void Wait()
    {
        lock (gate)
        {
            if (ordered) return;
            ordered = true;
            if (!released) stream.Await(done);
        }

        finish?.Invoke();
    }

    /// <summary>Blocks until the device has done it.</summary>
    public void Synchronize()
    {
        lock (gate)
            if (!released) stream.Synchronize(done);
    }

    /// <summary>Lets go of event and tensors when the device is done; says whether it is.</summary>
    public bool TryRelease()
    {
        lock (gate)
        {
            if (released) return true;
            if (!stream.IsComplete(done)) return false;
            released = true;
        }

        stream.Release(done);
        foreach (var tensor in tensors) tensor.Dispose();
        return true;
    }
}
