using Titan.Abstractions;
using Titan.Models;
using Titan.Training.Configuration;
using Titan.Training.Loop;
using static TorchSharp.torch;

namespace Titan.Training.Parallel;

/// <summary>
/// What a job's ranks send each other in one step, computed from the built model on the meta device: a rank's shards, the gathers of forward and backward, the reductions of
/// gradients, the amaxes of casts, and what tensor parallel exchanges. Codecs say what encoded weights and activations weigh, so no recipe is known here. Not in it: the
/// loss, norm and token counts that the trainer sums over all ranks (a few bytes), checkpoints, validation.
/// </summary>
/// <param name="Units">What is gathered together, in the order of forward.</param>
/// <param name="Collectives">By group and verb; a steady step, not the first.</param>
public sealed record WirePlan(IReadOnlyList<PlannedUnit> Units, IReadOnlyList<CollectiveTraffic> Collectives)
{
    /// <summary>Plans a step.</summary>
    /// <param name="model">The model, converted, on the meta device, before a parallelism has changed it.</param>
    /// <param name="config">The job.</param>
    /// <param name="dimensions">The sizes of the mesh.</param>
    /// <param name="encodedWeights">False: as if every weight travelled in the compute dtype.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/>, naming a layer that cannot be split over the ranks.</exception>
    public static WirePlan Of(LanguageModel model, JobConfig config, ParallelDimensions dimensions, bool encodedWeights = true)
    {
        var split = TensorParallelSplit.Of(model, dimensions.TensorParallel);
        var units = UnitsOf(model, config, dimensions, split, encodedWeights);
        var sum = new TrafficSum();
        var microBatches = GradientAccumulation.Steps(config.Training, dimensions);
        if (dimensions.DataParallelShard > 1) AddShards(sum, units, config, dimensions.DataParallelShard, microBatches);
        foreach (var unit in units)
        {
            long shard = unit.Weights.Sum(w => w.Rows.PerRank * w.Columns) * 4;
            sum.Add(CollectiveTraffic.AllReduce, "dp_replicate", dimensions.DataParallelReplicate, microBatches, microBatches * shard);
        }

        if (split is not null) new TensorParallelTraffic(split, config, dimensions).AddTo(sum, units, microBatches);
        return new WirePlan(units, sum.ToList());
    }

    private static void AddShards(TrafficSum sum, IReadOnlyList<PlannedUnit> units, JobConfig config, int ranks, int microBatches)
    {
        var type = ModelBuilder.TypeOf(config.Training.MixedPrecisionParam);
        var reshard = config.Parallelism.FsdpReshardAfterForward != "never";
        foreach (var (index, unit) in units.Index())
        {
            // The last unit is still there when backward begins.
            var backward = unit.Backward(type, kept: !reshard || index == units.Count - 1);
            sum.Add(CollectiveTraffic.AllGather, "dp_shard", ranks, microBatches * (1 + backward.Calls), microBatches * (unit.ForwardBytes(type) + backward.Bytes));
            sum.Add(CollectiveTraffic.ReduceScatter, "dp_shard", ranks, microBatches, microBatches * unit.GradientElements * 4);
        }

        // Once per optimizer step: weights do not change between micro-batches.
        var amaxes = units.Where(u => u.AmaxLength > 0).ToList();
        var together = amaxes.SelectMany(u => u.Weights).Any(w => w.Codec is { PrecomputesScales: true });
        sum.Add(CollectiveTraffic.AllReduce, "dp_shard", ranks, together ? Math.Min(1, amaxes.Count) : amaxes.Count, 4 * amaxes.Sum(u => u.AmaxLength));
    }

    private static List<PlannedUnit> UnitsOf(LanguageModel model, JobConfig config, ParallelDimensions dimensions, TensorParallelSplit? split, bool encoded)
    {
        var checkpointing = model.Blocks.Select((b, i) => (b.Fqn, Mode: ModelBuilder.CheckpointingOf(config.ActivationCheckpoint, i))).ToDictionary(b => b.Fqn, b => b.Mode);
        var units = new List<(string Name, List<PlannedWeight> Weights)>();
        foreach (var (fqn, _, layer) in ModelParameters.Layers(model))
        {
            var block = BlockOf(fqn, checkpointing);
            if (units.Count == 0 || units[^1].Name != block) units.Add((block, []));
            units[^1].Weights.Add(Weight(fqn, layer, dimensions.DataParallelShard, split, encoded));
        }

        return [.. units.Select(u => new PlannedUnit(u.Name, u.Weights, checkpointing.GetValueOrDefault(u.Name)))];
    }

    private static PlannedWeight Weight(string fqn, IWeightedLayer layer, int ranks, TensorParallelSplit? split, bool encoded)
    {
        var shape = split?.ShapeOf(fqn, layer) ?? layer.Weight.Layout.Shape;
        var codec = encoded && ranks > 1 ? (layer as ILinear)?.WeightCodec : null;
        return new PlannedWeight(fqn, layer, codec, RowShards.Of(shape[0], ranks, codec), shape.Skip(1).Aggregate(1L, (a, b) => a * b), ranks);
    }

    /// <summary>The block that a layer is in: <c>layers.3</c> for <c>layers.3.attention.wq</c>; empty outside of blocks.</summary>
    private static string BlockOf(string fqn, Dictionary<string, BlockCheckpointing> blocks)
    {
        for (var dot = fqn.LastIndexOf('.'); dot > 0; dot = fqn.LastIndexOf('.', dot - 1))
            if (blocks.ContainsKey(fqn[..dot])) return fqn[..dot];
        return "";
    }
}
