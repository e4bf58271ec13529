using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.ExpertParallel;

/// <summary>
/// The way of a batch of rows to the ranks of their experts, found by an all-to-all of counts. Rows arrive sender by sender, each sender's sorted by expert; they are put expert by expert, those of an expert in
/// the order of senders, and the groups are filled up to a multiple (an empty one to one multiple of zeros, as upstream's).
/// </summary>
internal sealed class Route
{
    private readonly IProcessGroup group;
    private readonly ExchangeTraffic traffic;
    private readonly long[] to;
    private readonly long[] from;

    private Route(IProcessGroup group, ExchangeTraffic traffic, long[] to, long[] from, RowGroups groups, Tensor places)
    {
        (this.group, this.traffic, this.to, this.from, Groups, Places) = (group, traffic, to, from, groups, places);
        (Sent, Received, Placed) = (to.Sum(), from.Sum(), groups.HostEnds[^1]);
    }

    /// <summary>Rows that this rank sends.</summary>
    public long Sent { get; }

    /// <summary>Rows that it receives.</summary>
    public long Received { get; }

    /// <summary>Rows of its experts with the filling.</summary>
    public long Placed { get; }

    /// <summary>int64 [<see cref="Received"/>]: where each arriving row comes to lie.</summary>
    public Tensor Places { get; }

    /// <summary>Divides <see cref="Placed"/>.</summary>
    public RowGroups Groups { get; }

    /// <summary>Finds the way. Waits for the device, and for the counts of all ranks.</summary>
    /// <param name="group">The ranks that share the experts.</param>
    /// <param name="counts">int64 [E], contiguous: rows of this rank for each expert of the mixture.</param>
    /// <param name="multiple">Groups begin at multiples of this.</param>
    /// <param name="traffic">Counts what is sent.</param>
    public static Route Of(IProcessGroup group, Tensor counts, int multiple, ExchangeTraffic traffic)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        var received = empty_like(counts);
        group.AllToAllSingle(received, counts);
        long[] there = Host(counts), here = Host(received);
        var local = there.Length / group.Size;
        var (groups, places) = PaddedRows.Layout(received.view(group.Size, local), here.Sum(), multiple);
        var route = new Route(group, traffic, PerRank(there, local), PerRank(here, local), groups, places ?? arange(here.Sum(), dtype: ScalarType.Int64, device: counts.device));
        route.Places.MoveToOuterDisposeScope();
        route.Groups.Ends.MoveToOuterDisposeScope();
        return route;
    }

    /// <summary>Begins to send planes [Sent, ...]; they fill the others, [Received, ...].</summary>
    /// <param name="received">Where they will be.</param>
    /// <param name="sent">The planes.</param>
    /// <param name="rowBytes">Bytes of a row in all of them.</param>
    public IWork There(IReadOnlyList<Tensor> received, IReadOnlyList<Tensor> sent, long rowBytes)
    {
        traffic.Note(Sent * rowBytes);
        return new CombinedWork([.. sent.Zip(received, (s, r) => group.AllToAllSingleAsync(r, s, from, to))]);
    }

    /// <summary>Brings rows [Received, D] back to who sent them: [Sent, D].</summary>
    public Tensor Back(Tensor rows)
    {
        using var none = no_grad();
        using var whole = rows.contiguous();
        var home = empty([Sent, rows.shape[1]], dtype: rows.dtype, device: rows.device);
        traffic.Note(Received * RowWire.PlainBytes(rows.shape[1], rows.dtype));
        group.AllToAllSingle(home, whole, to, from);
        return home;
    }

    private static long[] PerRank(long[] counts, int local) => [.. counts.Chunk(local).Select(c => c.Sum())];

    private static long[] Host(Tensor counts)
    {
        using var there = counts.cpu();
        return there.data<long>().ToArray();
    }
}
