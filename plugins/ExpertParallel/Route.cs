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

    private Route(IProcessGroup group, ExchangeTraffic traffic, long[] to, long[] from, IReadOnlyList<long> ends, Tensor places)
    {
        (this.group, this.traffic, this.to, this.from, Places) = (group, traffic, to, from, places);
        (Sent, Received, Placed) = (to.Sum(), from.Sum(), ends[^1]);
        Groups = RowGroups.Of(ends, places.device);
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
        var (places, ends) = Arrange(here, local, multiple);
        var route = new Route(group, traffic, PerRank(there, local), PerRank(here, local), ends, tensor(places, ScalarType.Int64, counts.device));
        route.Places.MoveToOuterDisposeScope();
        route.Groups.Ends.MoveToOuterDisposeScope();
        return route;
    }

    /// <summary>Where rows come to lie that arrive sender by sender.</summary>
    /// <param name="counts">Sender-major: of each sender the rows for each expert here.</param>
    /// <param name="experts">Experts here.</param>
    /// <param name="multiple">Groups begin at multiples of this.</param>
    /// <returns>The place of each row, and where the groups end.</returns>
    internal static (long[] Places, long[] Ends) Arrange(IReadOnlyList<long> counts, int experts, int multiple)
    {
        long[] next = new long[experts], ends = new long[experts];
        for (var e = 0; e < experts; e++)
        {
            var rows = counts.Where((_, i) => i % experts == e).Sum();
            var size = multiple == 1 ? rows : (Math.Max(rows, 1) + multiple - 1) / multiple * multiple;
            next[e] = e == 0 ? 0 : ends[e - 1];
            ends[e] = next[e] + size;
        }

        var places = new long[counts.Sum()];
        var row = 0;
        foreach (var (run, length) in counts.Index())
            for (var i = 0L; i < length; i++) places[row++] = next[run % experts]++;
        return (places, ends);
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
