using TorchSharp;
using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.Parallelism;

/// <summary>
/// Which units are whole at a time: the one that runs, and the next, which is gathered meanwhile. Forward goes up, backward down; what a unit asks for in backward is
/// known once it has been there.
/// </summary>
internal sealed class GatherSchedule
{
    private readonly IReadOnlyList<ShardedUnit> units;
    private readonly Dictionary<ShardedWeight, int> unitOf;
    private readonly bool reshardAfterForward;
    private readonly bool prefetch;
    private int current = -1;

    public GatherSchedule(IReadOnlyList<ShardedUnit> units, bool reshardAfterForward, bool prefetch)
    {
        (this.units, this.reshardAfterForward, this.prefetch) = (units, reshardAfterForward, prefetch);
        unitOf = units.SelectMany((u, i) => u.Weights.Select(w => (w, i))).ToDictionary(x => x.w, x => x.i);
    }

    /// <summary>The most units that were whole, or on their way, at once.</summary>
    public int MostGathered { get; private set; }

    /// <summary>The whole weight for a use.</summary>
    public IDisposable Take(ShardedWeight weight, WeightUse use)
    {
        var index = unitOf[weight];
        var unit = units[index];
        var backward = BackwardPass.IsRunning;
        (backward ? unit.AskedInBackward : unit.AskedInForward).Add(use);
        var isNext = index != current;
        if (isNext)
        {
            current = index;
            var next = index + (backward ? -1 : 1);
            // Before anything more is gathered, so that no more than two are held.
            for (var i = 0; i < units.Count; i++)
                if (i != index && i != next && (reshardAfterForward || (backward && i > index))) units[i].Release();
        }

        var value = unit.Take(weight, use);
        if (isNext && prefetch) Prefetch(index + (backward ? -1 : 1), backward);
        MostGathered = Math.Max(MostGathered, units.Count(u => u.IsGathered));
        return value;
    }

    /// <summary>One master weight, gathered outside of the schedule.</summary>
    public Tensor GatherAlone(ShardedWeight weight, ScalarType type) => units[unitOf[weight]].GatherAlone(weight, type);

    /// <summary>Drops everything: the weights are about to change, or have changed.</summary>
    public void ReleaseAll()
    {
        foreach (var unit in units) unit.Release();
        current = -1;
    }

    private void Prefetch(int index, bool backward)
    {
        if (index < 0 || index >= units.Count) return;
        var unit = units[index];
        foreach (var use in backward ? unit.AskedInBackward : unit.AskedInForward) unit.Begin(use);
    }
}
