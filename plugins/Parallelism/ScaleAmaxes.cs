using TorchSharp;
using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.Parallelism;

/// <summary>
/// The amaxes over all shards that scales are made of. They are reduced once per optimizer step, asynchronously: a collective per unit, or one for all where the codecs
/// ask for it (upstream's <c>precompute_float8_dynamic_scale_for_fsdp</c>). A weight that changed since is an error, never a silent clamp.
/// </summary>
internal sealed class ScaleAmaxes(IProcessGroup group)
{
    private readonly List<List<(ShardedWeight Weight, WeightUse Use)>> units = [];
    private readonly Dictionary<(ShardedWeight Weight, WeightUse Use), Reduction> reductions = [];

    /// <summary>The amaxes of some weights, in one vector on its way or reduced.</summary>
    private sealed record Reduction(Tensor Vector, IWork Work, IReadOnlyDictionary<(ShardedWeight, WeightUse), (long Start, long Length, long Version)> Places)
    {
        public Dictionary<(ShardedWeight, WeightUse), Tensor> Reduced { get; } = [];
    }

    /// <summary>Adds the weights of a unit that need amaxes.</summary>
    public void Add(IEnumerable<ShardedWeight> weights)
    {
        units.Add([.. weights.SelectMany(w => w.Shards.ScaledForms.Select(use => (w, use)))]);
    }

    /// <summary>What is reduced after each optimizer step.</summary>
    /// <param name="units">The weights, unit by unit.</param>
    /// <param name="group">The ranks that share rows.</param>
    public static IEnumerable<PlannedCollective> Plan(IEnumerable<IEnumerable<WeightShards>> units, IProcessGroup group)
    {
        const string what = "amaxes of weights";
        var wanted = units.Select(u => u.SelectMany(w => w.ScaledForms.Select(use => (Length: w.Codec!.AmaxLength(use), Parts: w.Source.PartsGroup, w.Codec.PrecomputesScales))).ToList()).Where(u => u.Count > 0).ToList();
        foreach (var together in wanted.SelectMany(u => u).Any(w => w.PrecomputesScales) ? [[.. wanted.SelectMany(u => u)]] : wanted)
        {
            yield return PlannedCollective.AllReduce(group, together.Sum(w => w.Length), 1, StepPhase.Optimizer, what);
            foreach (var parts in together.Where(w => w.Length == 1).GroupBy(w => w.Parts))
                if (parts.Key is { } ranks) yield return PlannedCollective.AllReduce(ranks, parts.Count(), 1, StepPhase.Optimizer, what);
        }
    }

    /// <summary>The reduced amaxes [n] of a weight; null where its scales are local.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.RunFailed"/> when the weight was written to since they were computed.</exception>
    public Tensor? Of(ShardedWeight weight, WeightUse use)
    {
        if (weight.Codec!.AmaxLength(use) == 0) return null;
        if (reductions.Count == 0) Compute();
        var key = (weight, use);
        var reduction = reductions[key];
        if (weight.Codec.Version(weight.Parameter) != reduction.Places[key].Version)
            throw new TitanException(ExitCode.RunFailed,
                "a weight was written to after the scales of its float8 gather were computed: they would clamp silently; call AfterOptimizerStep of the parallelism after changing weights");
        if (reduction.Reduced.Count == 0) Finish(reduction);
        return reduction.Reduced[key];
    }

    /// <summary>Waits. A tensor whose rows are shared out twice (tensor parallel) has more parts than this group holds: those of all weights are reduced together.</summary>
    private static void Finish(Reduction reduction)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        reduction.Work.Wait();
        foreach (var (key, (start, length, _)) in reduction.Places) reduction.Reduced[key] = reduction.Vector.narrow(0, start, length).clone().DetachFromDisposeScope();
        foreach (var parts in reduction.Places.Where(p => p.Value.Length == 1).Select(p => p.Key).GroupBy(k => ((IWeightSource)k.Item1).PartsGroup))
        {
            if (parts.Key is not { } ranks) continue;
            var keys = parts.ToList();
            var all = cat([.. keys.Select(k => reduction.Reduced[k])]);
            ranks.AllReduce(all, ReduceOperation.Max);
            foreach (var (key, amax) in keys.Zip(all.split(1))) reduction.Reduced[key].copy_(amax);
        }
    }

    /// <summary>Forgets the amaxes of weights that have changed; precomputes the new ones where that is asked for.</summary>
    public void Refresh()
    {
        foreach (var reduction in reductions.Values.Distinct())
        {
            reduction.Work.Wait();
            reduction.Vector.Dispose();
            foreach (var amax in reduction.Reduced.Values) amax.Dispose();
        }

        reductions.Clear();
        if (IsPrecomputed) Compute();
    }

    private bool IsPrecomputed => units.SelectMany(u => u).Any(w => w.Weight.Codec!.PrecomputesScales);

    private void Compute()
    {
        if (IsPrecomputed) Reduce([.. units.SelectMany(u => u)]);
        else foreach (var unit in units.Where(u => u.Count > 0)) Reduce(unit);
    }

    private void Reduce(List<(ShardedWeight Weight, WeightUse Use)> wanted)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        var places = new Dictionary<(ShardedWeight, WeightUse), (long, long, long)>();
        var parts = new List<Tensor>();
        long at = 0;
        foreach (var (weight, use) in wanted)
        {
            var amax = weight.Codec!.Amax(weight.Parameter, use);
            parts.Add(amax);
            places[(weight, use)] = (at, amax.shape[0], weight.Codec.Version(weight.Parameter));
            at += amax.shape[0];
        }

        var vector = cat(parts).DetachFromDisposeScope();
        var reduction = new Reduction(vector, group.AllReduceAsync(vector, ReduceOperation.Max), places);
        foreach (var key in places.Keys) reductions[key] = reduction;
    }
}
