using System.Text;

namespace Titan.Distributed.Mpi;

/// <summary>Who is where.</summary>
/// <param name="Rank">This process's world rank.</param>
/// <param name="Hosts">The machine of each rank.</param>
internal sealed record RankDirectory(int Rank, IReadOnlyList<string> Hosts)
{
    private const int NameBytes = 64;

    public int World => Hosts.Count;

    /// <summary>"rank 2 of 4 (host a)".</summary>
    public string Me => $"rank {Rank} of {World} (host {Hosts[Rank]})";

    /// <summary>"rank 3 (host b)".</summary>
    public string Name(int rank) => $"rank {rank} (host {Hosts[rank]})";

    public static RankDirectory Gather(MpiLibrary mpi)
    {
        var (rank, size) = mpi.Position(mpi.World);
        var mine = new byte[NameBytes];
        var name = Encoding.UTF8.GetBytes(Environment.MachineName);
        name.AsSpan(0, Math.Min(name.Length, NameBytes)).CopyTo(mine);
        var all = mpi.AllGather(mpi.World, mine, size);
        return new(rank, [.. Enumerable.Range(0, size).Select(r => Encoding.UTF8.GetString(all, r * NameBytes, NameBytes).TrimEnd('\0'))]);
    }
}
