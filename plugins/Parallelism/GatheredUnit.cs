using Titan.Abstractions;

namespace Titan.Plugins.Parallelism;

/// <summary>Weights that are gathered together, by one collective for all that are missing, or one for each group of ranks that shards some of them. Which are missing when is the same in a run and in a plan.</summary>
/// <param name="shards">The weights.</param>
internal abstract class GatheredUnit(IReadOnlyList<WeightShards> shards)
{
    private readonly HashSet<(int Weight, WeightUse Form)> begun = [];

    /// <summary>How its weights are shared out.</summary>
    public IReadOnlyList<WeightShards> Shards => shards;

    /// <summary>The uses that were asked for: in forward, and in backward.</summary>
    public HashSet<WeightUse> AskedInForward { get; } = [];

    public HashSet<WeightUse> AskedInBackward { get; } = [];

    /// <summary>Whether what was gathered stays to the end of backward: a weight that is read early and late in forward.</summary>
    public bool Stays { get; } = shards.Any(s => s.Source.IsTied);

    /// <summary>Whether anything whole is held or on its way.</summary>
    public bool IsGathered => begun.Count > 0;

    /// <summary>Starts to gather what the use needs and is neither here nor on its way.</summary>
    public void Begin(WeightUse use)
    {
        List<(int Weight, WeightUse Form)> missing = [.. shards.Select((s, i) => (i, s.Form(use))).Where(w => !begun.Contains(w))];
        if (missing.Count == 0) return;
        foreach (var together in missing.GroupBy(m => shards[m.Weight].Group)) Gather(together.Key, [.. together]);
        begun.UnionWith(missing);
    }

    /// <summary>Sees to it that a weight is here in the form for a use.</summary>
    public virtual void Fetch(int weight, WeightUse use) => Begin(use);

    /// <summary>Drops what was gathered.</summary>
    public virtual void Release() => begun.Clear();

    /// <summary>Issues the collective for some weights, which a group shards.</summary>
    protected abstract void Gather(IProcessGroup group, IReadOnlyList<(int Weight, WeightUse Form)> missing);
}
