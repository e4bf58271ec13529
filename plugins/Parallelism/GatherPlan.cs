using Titan.Abstractions;

namespace Titan.Plugins.Parallelism;

/// <summary>What a run's schedule will gather: the schedule itself, taken through two micro-batches with units that note what they would send. The first teaches it what backward asks for.</summary>
internal static class GatherPlan
{
    /// <summary>The gathers of a steady step.</summary>
    /// <param name="units">The weights, unit by unit.</param>
    /// <param name="context">The run.</param>
    public static IReadOnlyList<PlannedCollective> Of(IReadOnlyList<IReadOnlyList<UnitWeight>> units, ParallelizationContext context)
    {
        var noted = new List<(IProcessGroup Group, IReadOnlyList<PlannedTensor> Tensors, StepPhase When)>();
        var phase = StepPhase.Forward;
        var rehearsed = units.Select(u => new NotedUnit([.. u.Select(w => WeightShards.Of(w, context))], (group, tensors) => noted.Add((group, tensors, phase)))).ToList();
        var schedule = new GatherSchedule(rehearsed, (ShardedDataParallelOptions)context.Options);
        for (var microBatch = 0; microBatch < 2; microBatch++)
        {
            noted.Clear();
            phase = StepPhase.Forward;
            for (var i = 0; i < units.Count; i++)
                for (var w = 0; w < units[i].Count; w++) schedule.Ask(i, w, WeightUse.Output, backward: false);
            phase = StepPhase.Backward;
            for (var i = units.Count - 1; i >= 0; i--) Backward(i);
            schedule.ReleaseAll();
        }

        return [.. noted.Select(n => new PlannedCollective(n.Group, CollectiveVerb.AllGather, n.Tensors, context.Step.MicroBatches, n.When, "weights"))];

        void Backward(int i)
        {
            for (var w = 0; w < units[i].Count; w++)
                if (context.Step.IsRecomputed(units[i][w].Fqn)) schedule.Ask(i, w, WeightUse.Output, backward: true);
            // Only matmuls ask again.
            for (var w = units[i].Count - 1; w >= 0; w--)
                if (units[i][w].IsOperand && context.Step.NeedsInputGradient(units[i][w].Fqn)) schedule.Ask(i, w, rehearsed[i].Shards[w].Codec is null ? WeightUse.Output : WeightUse.GradInput, backward: true);
        }
    }

    /// <summary>The most that is held whole at once: two neighbouring units and what stays, or all.</summary>
    public static long HeldBytes(IReadOnlyList<IReadOnlyList<UnitWeight>> units, ParallelizationContext context)
    {
        var held = units.Select(u => HeldBytes([.. u.Select(w => (w.IsOperand, context.Step.IsRecomputed(w.Fqn), WeightShards.Of(w, context)))])).ToList();
        if (!((ShardedDataParallelOptions)context.Options).Reshards) return held.Sum();
        var stays = units.Select(u => u.Any(w => w.Source.IsTied)).ToList();
        return Enumerable.Range(0, Math.Max(1, held.Count - 1)).Max(i => held.Where((_, k) => k == i || k == i + 1 || stays[k]).Sum());
    }

    /// <summary>Everything that is ever held of a unit at once: the forms of forward, or those of backward.</summary>
    private static long HeldBytes(IReadOnlyList<(bool IsOperand, bool Again, WeightShards Shards)> weights)
    {
        HashSet<WeightUse> asked = [.. weights.Where(w => w.IsOperand).Select(w => w.Shards.Codec is null ? WeightUse.Output : WeightUse.GradInput)];
        if (weights.Any(w => w.Again)) asked.Add(WeightUse.Output);
        return Math.Max(weights.Sum(w => Bytes(w.Shards, WeightUse.Output)), weights.SelectMany(w => asked.Select(use => (w.Shards, Form: w.Shards.Form(use))).Distinct()).Sum(w => Bytes(w.Shards, w.Form)));

        static long Bytes(WeightShards shards, WeightUse form) => shards.Ranks * shards.Sent(form).Sum(t => t.Bytes);
    }

    private sealed class NotedUnit(IReadOnlyList<WeightShards> shards, Action<IProcessGroup, IReadOnlyList<PlannedTensor>> note) : GatheredUnit(shards)
    {
        protected override void Gather(IProcessGroup group, IReadOnlyList<(int Weight, WeightUse Form)> missing) => note(group, [.. missing.SelectMany(m => Shards[m.Weight].Sent(m.Form))]);
    }
}
