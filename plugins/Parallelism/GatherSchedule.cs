using Titan.Abstractions;

namespace Titan.Plugins.Parallelism;

/// <summary>
/// Which units are whole at a time: the one that runs, and the next, which is gathered meanwhile. Forward goes up, backward down; what a unit asks for in backward is
/// known once it has been there. A run and a plan go by it.
/// </summary>
internal sealed class GatherSchedule(IReadOnlyList<GatheredUnit> units, ShardedDataParallelOptions options)
{
    private int current = -1;

    /// <summary>The most units that were whole, or on their way, at once.</summary>
    public int MostGathered { get; private set; }

    /// <summary>A weight is wanted for a use.</summary>
    /// <param name="index">Its unit.</param>
    /// <param name="weight">Its place in the unit.</param>
    /// <param name="use">The use.</param>
    /// <param name="backward">Whether backward runs.</param>
    public void Ask(int index, int weight, WeightUse use, bool backward)
    {
        var unit = units[index];
        (backward ? unit.AskedInBackward : unit.AskedInForward).Add(use);
        // A unit that stays is not where forward or backward is when its weight is read again.
        var isNext = index != current && !(unit.Stays && unit.IsGathered);
        if (isNext)
        {
            current = index;
            var next = index + (backward ? -1 : 1);
            // Before anything more is gathered, so that no more than two are held.
            for (var i = 0; i < units.Count; i++)
                if (i != index && i != next && !units[i].Stays && (options.Reshards || (backward && i > index))) units[i].Release();
        }

        unit.Fetch(weight, use);
        if (isNext && options.FsdpPrefetch) Prefetch(index + (backward ? -1 : 1), backward);
        MostGathered = Math.Max(MostGathered, units.Count(u => u.IsGathered));
    }

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
