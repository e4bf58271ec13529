namespace Titan.Distributed.Mpi;

/// <summary>A communicator and what this process has called on it.</summary>
/// <param name="id">The same on every rank: communicators are made in the same order everywhere.</param>
/// <param name="handle">MPI's handle.</param>
/// <param name="rank">This process's position.</param>
/// <param name="members">World ranks of the members, by position.</param>
internal sealed class MpiCommunicator(int id, nint handle, int rank, int[] members)
{
    private const int Remembered = 64;

    private readonly Lock gate = new();
    private readonly CollectiveCall?[] recent = new CollectiveCall?[Remembered];
    private long completed;

    public int Id => id;

    public nint Handle => handle;

    public int Rank => rank;

    public int Size => members.Length;

    public IReadOnlyList<int> Members => members;

    /// <summary>The newest call, started or not.</summary>
    public CollectiveCall? Last { get; private set; }

    /// <summary>The number of the newest call that is done.</summary>
    public long Completed
    {
        get
        {
            lock (gate) return completed;
        }
    }

    public CollectiveCall Add(Verb verb, string group, int type, long bytes, int detail)
    {
        lock (gate)
        {
            Last = new CollectiveCall((Last?.Number ?? 0) + 1, verb, group, type, bytes, detail, Environment.TickCount64);
            return recent[Last.Number % Remembered] = Last;
        }
    }

    public CollectiveCall? Find(long number)
    {
        lock (gate) return recent[number % Remembered] is { } call && call.Number == number ? call : null;
    }

    public void Complete(CollectiveCall call)
    {
        lock (gate) completed = Math.Max(completed, call.Number);
    }
}

/// <summary>One call of a collective, as ranks compare it.</summary>
/// <param name="Number">Counts the calls on its communicator, from 1.</param>
/// <param name="Verb">What was called.</param>
/// <param name="Group">Name of the group.</param>
/// <param name="Type">libtorch's scalar type, -1 for none.</param>
/// <param name="Bytes">Payload.</param>
/// <param name="Detail">Source rank, reduction, or number of tensors.</param>
/// <param name="CalledAt">Milliseconds of this process's clock.</param>
internal sealed record CollectiveCall(long Number, Verb Verb, string Group, int Type, long Bytes, int Detail, long CalledAt)
{
    public override string ToString() => $"{Verb.Text()} #{Number} of group '{Group}'" + (Verb == Verb.Barrier ? "" : $" ({Quantities.Bytes(Bytes)})");

    /// <summary>The call without its number: what must be the same on every rank.</summary>
    public static string Describe(Verb verb, int type, long bytes, int detail) => verb switch
    {
        Verb.Barrier => verb.Text(),
        Verb.Broadcast => $"{verb.Text()} of {Quantities.Bytes(bytes)} {Quantities.Type((TorchSharp.torch.ScalarType)type)} from rank {detail} of the group",
        Verb.AllReduce => $"{verb.Text()} ({(Abstractions.ReduceOperation)detail}) of {Quantities.Bytes(bytes)} {Quantities.Type((TorchSharp.torch.ScalarType)type)}",
        _ when detail > 1 => $"{verb.Text()} of {detail} tensors, {Quantities.Bytes(bytes)}, the first {Quantities.Type((TorchSharp.torch.ScalarType)type)}",
        _ => $"{verb.Text()} of {Quantities.Bytes(bytes)} {Quantities.Type((TorchSharp.torch.ScalarType)type)}",
    };
}
