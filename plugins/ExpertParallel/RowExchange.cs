using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.ExpertParallel;

/// <summary>The exchange of one mixture: counts first, then rows, by all-to-all with splits.</summary>
/// <param name="group">The ranks that share the experts.</param>
/// <param name="share">Which rows this rank sends.</param>
/// <param name="wires">How they travel.</param>
/// <param name="traffic">Counts what is sent.</param>
internal sealed class RowExchange(IProcessGroup group, RowShare share, RowWires wires, ExchangeTraffic traffic) : IExpertExchange
{
    /// <inheritdoc />
    public ExpertRows Dispatch(Tensor rows, Tensor counts, int multiple)
    {
        var own = share.Take(rows);
        Route route;
        using (var scope = NewDisposeScope())
        using (no_grad()) route = Moved(Route.Of(group, share.TakeCounts(counts, rows.shape[0]), multiple, traffic));
        var crossing = Crossing.Begin(route, wires.Rows(rows.shape[1], rows.dtype, rows.device, is_grad_enabled()), own);
        return ExpertRows.Arriving(() => Outward.Apply(own, crossing), route.Groups, new Sent(route, rows.shape[0]));
    }

    /// <inheritdoc />
    public Tensor Combine(Tensor results, ExpertRows dispatched)
    {
        var (route, rows) = (Sent)dispatched.State!;
        return share.Put(Homeward.Apply(results, route, g => wires.Gradient(g.shape[1], g.dtype, g.device)), rows);
    }

    private static Route Moved(Route route)
    {
        route.Places.MoveToOuterDisposeScope();
        route.Groups.Ends.MoveToOuterDisposeScope();
        return route;
    }

    private sealed record Sent(Route Route, long Rows);
}
