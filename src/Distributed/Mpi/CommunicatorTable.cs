namespace Titan.Distributed.Mpi;

/// <summary>The communicators of this process by number: the same numbers on every rank, since all make them in the same order.</summary>
internal sealed class CommunicatorTable
{
    private readonly Lock gate = new();
    private readonly List<(MpiCommunicator Communicator, string Name)> made = [];

    /// <summary>Numbers a new communicator.</summary>
    public MpiCommunicator Add(string name, nint handle, int rank, int[] members)
    {
        lock (gate)
        {
            var communicator = new MpiCommunicator(made.Count, handle, rank, members);
            made.Add((communicator, name));
            return communicator;
        }
    }

    public MpiCommunicator? Find(int id)
    {
        lock (gate) return id >= 0 && id < made.Count ? made[id].Communicator : null;
    }

    public string? Name(int id)
    {
        lock (gate) return id >= 0 && id < made.Count ? made[id].Name : null;
    }
}
