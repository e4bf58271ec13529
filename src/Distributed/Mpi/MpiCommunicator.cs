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
    private readonly Dictionary<(int Peer, int Tag, bool IsSend), long> messages = [];
    private long completed, exchanges, calledAt = -1;

    public int Id => id;

    public nint Handle => handle;

    public int Rank => rank;

    public int Size => members.Length;

    public IReadOnlyList<int> Members => members;

    /// <summary>The newest collective, started or not.</summary>
    public CollectiveCall? Last { get; private set; }

    /// <summary>The number of the newest call that is done.</summary>
    public long Completed
    {
        get
        {
            lock (gate) return completed;
        }
    }

    /// <summary>Milliseconds since the newest call of any kind; -1 if there was none.</summary>
    public long IdleMilliseconds
    {
        get
        {
            lock (gate) return calledAt < 0 ? -1 : Environment.TickCount64 - calledAt;
        }
    }

    /// <summary>Numbers a call. Messages between two ranks are counted apart: the others do not call them.</summary>
    public CollectiveCall Add(CallRequest request)
    {
        lock (gate)
        {
            calledAt = Environment.TickCount64;
            if (request.Peers is not null) return new CollectiveCall(++exchanges, request);
            Last = new CollectiveCall((Last?.Number ?? 0) + 1, request);
            return recent[Last.Number % Remembered] = Last;
        }
    }

    /// <summary>How many messages to or from a rank with a tag there were, this one included. On the communication thread only.</summary>
    public long CountMessage(int peer, int tag, bool isSend) => messages[(peer, tag, isSend)] = messages.GetValueOrDefault((peer, tag, isSend)) + 1;

    public CollectiveCall? Find(long number)
    {
        lock (gate) return recent[number % Remembered] is { } call && call.Number == number ? call : null;
    }

    public void Complete(CollectiveCall call)
    {
        if (call.Peers is not null) return;
        lock (gate) completed = Math.Max(completed, call.Number);
    }
}
