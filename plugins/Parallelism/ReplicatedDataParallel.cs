using Titan.Abstractions;

namespace Titan.Plugins.Parallelism;

/// <summary>
/// Replicated data parallel: gradients are summed over the replicas, a unit at a time while backward goes on. Over shards (HSDP) it sums the shards' gradients,
/// alone (DDP) those of whole weights.
/// </summary>
[ExportParallelism(MeshAxis.DataParallelReplicate, Status = ExportStatus.Stable, Summary = "sums gradients over replicas, alone (DDP) or over shards (HSDP)")]
public sealed class ReplicatedDataParallel : IParallelism
{
    /// <inheritdoc />
    public ParallelismPlan Plan(ParallelizationContext context)
    {
        var units = Units.Of(context);
        var isSharded = units.SelectMany(u => u).Any(w => w.Source is ShardedWeight);
        // What different ranks shard is reduced apart.
        var together = units.SelectMany(u => u.Select(w => w.Source).GroupBy(w => (w as ShardedWeight)?.Shards.Group));
        var elements = together.Select(u => (IReadOnlyList<long>)[.. u.Where(w => w.Parameter.requires_grad).Select(w => w is ShardedWeight s ? s.Shards.Elements : w.Parameter.numel())]).ToList();
        var plan = new ParallelismPlan([.. GradientReduction.Plan(elements.Select(u => ((IProcessGroup?)null, u)), context.Group, context.Step.MicroBatches)]);
        return isSharded ? plan : plan with
        {
            Memory = new Dictionary<string, long> { [GradientReduction.MemoryName] = GradientReduction.HeldBytes(elements.Select(u => u.Sum())) }, MemoryNotes = [GradientReduction.MemoryNote],
        };
    }

    /// <inheritdoc />
    public IAppliedParallelism Apply(ParallelizationContext context)
    {
        var units = Units.Of(context);
        var sharded = units.SelectMany(u => u).Select(w => w.Source as ShardedWeight).OfType<ShardedWeight>().ToList();
        if (sharded.Count > 0)
        {
            sharded[0].Gradients.Replicas = context.Group;
            foreach (var weight in sharded) weight.Replicate(context.Group.Size);
            return new ReplicatedModel(null);
        }

        var gradients = new GradientReduction { Replicas = context.Group };
        foreach (var unit in units) gradients.Add([.. unit.Select(w => Replicate(w, gradients, context))], null);
        return new ReplicatedModel(gradients);
    }

    private static ReplicatedWeight Replicate(UnitWeight whole, GradientReduction gradients, ParallelizationContext context)
    {
        var weight = new ReplicatedWeight(whole.Source, gradients, context);
        ModelParameters.SetWeight(whole.Module, whole.Slot, weight);
        return weight;
    }

    /// <summary>A model of which there are several.</summary>
    /// <param name="own">Sums the gradients; null where the shards' own reduction does.</param>
    private sealed class ReplicatedModel(GradientReduction? own) : IAppliedParallelism
    {
        public void AfterBackward() => own?.Finish();
    }
}
