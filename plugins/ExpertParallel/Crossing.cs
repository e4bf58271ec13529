using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.ExpertParallel;

/// <summary>Rows on their way to the ranks of their experts.</summary>
internal sealed class Crossing
{
    private readonly RowWire wire;
    private readonly ScalarType type;
    private readonly IReadOnlyList<Tensor> sent;
    private readonly IReadOnlyList<Tensor> received;
    private readonly IWork work;

    private Crossing(Route route, RowWire wire, Tensor rows)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        (Route, this.wire, type) = (route, wire, rows.dtype);
        // They wait for the collective longer than this scope lasts, or the caller's.
        sent = [.. wire.Encode(rows).Select(p => p.DetachFromDisposeScope())];
        received = [.. sent.Select(p => empty([route.Received, .. p.shape[1..]], dtype: p.dtype, device: p.device).DetachFromDisposeScope())];
        work = route.There(received, sent, wire.Row(rows.shape[1], type).Sum(p => p.Bytes));
    }

    /// <summary>The way.</summary>
    public Route Route { get; }

    /// <summary>Begins to send rows [n, D].</summary>
    public static Crossing Begin(Route route, RowWire wire, Tensor rows) => new(route, wire, rows);

    /// <summary>Waits, and puts the rows expert by expert; once.</summary>
    /// <param name="places">Where: the route's, which backward has kept.</param>
    /// <returns>[M, D], in the caller's dispose scope, and their planes, of no scope; null where they travelled as they are.</returns>
    public (Tensor Rows, EncodedActivation? Encoded) Arrive(Tensor places)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        work.Wait();
        foreach (var plane in sent) plane.Dispose();
        var placed = wire.Blank(received, Route.Placed);
        foreach (var (to, plane) in placed.Zip(received)) to.index_copy_(0, places, plane);
        foreach (var plane in received) plane.Dispose();
        var (rows, encoded) = wire.Decode(placed, type);
        foreach (var plane in encoded?.Planes ?? []) plane.DetachFromDisposeScope();
        return (rows.MoveToOuterDisposeScope(), encoded);
    }

    /// <summary>Lets the experts find the planes where they would cast the rows, and lets go of the handles.</summary>
    public void Attach(Activation rows, EncodedActivation encoded)
    {
        wire.Attach(rows, encoded);
        foreach (var plane in encoded.Planes) plane.Dispose();
    }
}
