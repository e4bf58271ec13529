using Titan.Abstractions;
using Titan.Training.Parallel;

namespace Titan.Host.Planning;

/// <summary>The links between ranks, as a plan assumes them. Bandwidths are of one rank and one direction, in bytes per second.</summary>
/// <param name="Intra">Between ranks of a host; default 450 GB/s, NVLink of an H100.</param>
/// <param name="Inter">Between hosts; default 50 GB/s, one 400 Gbit/s adapter per rank.</param>
/// <param name="RanksPerHost">Ranks of a host; default 8.</param>
public sealed record Interconnect(double Intra = 450e9, double Inter = 50e9, int RanksPerHost = 8)
{
    /// <summary>
    /// Seconds of a step's calls of one collective. What crosses between hosts comes in once for all members on a host, by all their adapters; what stays inside goes by a
    /// ring. The slower of the two counts; latency does not. Of messages the rank counts whose neighbour is farthest.
    /// </summary>
    /// <param name="traffic">The collective.</param>
    /// <param name="dimensions">The mesh.</param>
    public double Seconds(CollectiveTraffic traffic, ParallelDimensions dimensions)
    {
        var members = MembersPerHost(traffic, dimensions);
        if (CollectiveVerb.IsMessage(traffic.Verb)) return traffic.WireBytes / (members < traffic.Size ? Inter : Intra);
        var twice = traffic.Verb == CollectiveTraffic.AllReduce ? 2.0 : 1;
        var hosts = Math.Ceiling((double)traffic.Size / members);
        var inside = members == 1 ? 0 : traffic.PayloadBytes * twice * (traffic.Size - 1) / traffic.Size / Intra;
        return Math.Max(inside, traffic.PayloadBytes * twice * (hosts - 1) / hosts / (members * Inter));
    }

    /// <summary>Whether a group crosses from host to host.</summary>
    public bool Crosses(CollectiveTraffic traffic, ParallelDimensions dimensions) => MembersPerHost(traffic, dimensions) < traffic.Size;

    private int MembersPerHost(CollectiveTraffic traffic, ParallelDimensions dimensions)
    {
        var members = MeshLayout.Groups(dimensions, 0).First(g => g.Name == traffic.Group).Members;
        // Neighbours in the group are this many ranks apart.
        return Math.Clamp(RanksPerHost / (members[1] - members[0]), 1, traffic.Size);
    }
}
