using Titan.Abstractions;
using Titan.Models;
using Titan.Quantization.Linear;
using Titan.Training.Configuration;
using Titan.Training.Loop;
using static TorchSharp.torch;

namespace Titan.Training.Parallel;

/// <summary>
/// What tensor parallel with sequence parallel moves: each region that sees the whole sequence gathers its input and scatters its output, and the other way round in
/// backward; a region that is computed again gathers again.
/// </summary>
internal sealed class TensorParallelTraffic(TensorParallelSplit split, JobConfig config, ParallelDimensions dimensions)
{
    private const string Group = "tp";

    private readonly int ranks = dimensions.TensorParallel;
    private readonly long batch = config.Training.LocalBatchSize, sequence = config.Training.SeqLen;
    private readonly ScalarType type = ModelBuilder.TypeOf(config.Training.MixedPrecisionParam);
    private readonly Dictionary<(IActivationCodec Codec, long Features, bool ForBackward), (long Bytes, int Amaxes)> measured = [];

    private long TypeSize => type == ScalarType.Float32 ? 4 : 2;

    public void AddTo(TrafficSum sum, IReadOnlyList<PlannedUnit> units, int microBatches)
    {
        var modes = units.Where(u => u.Name.Length > 0).ToDictionary(u => u.Name, u => u.Checkpointing);
        var table = split.Plan.Table.Weight.Layout.GlobalShape[1];
        Scatter(sum, microBatches, table);
        Gather(sum, microBatches, table, null, forBackward: true);
        foreach (var region in split.Plan.Regions)
        {
            var again = IsRecomputed(region.Fqn, modes);
            var features = ((ILinear)split.Layers[region.Readers[0]]).Shape.K;
            var input = Common(region.Readers);
            // Computed again, the first pass keeps nothing for backward.
            Gather(sum, microBatches, features, input, forBackward: !again);
            if (again) Gather(sum, microBatches, features, input, forBackward: true);
            Scatter(sum, microBatches, features);
            if (region.Writer is { } writer)
            {
                var written = (ILinear)split.Layers[writer];
                Scatter(sum, again ? 2 * microBatches : microBatches, written.Shape.N);
                Gather(sum, microBatches, written.Shape.N, written.GradientCodec, forBackward: true);
            }
            else if (config.Parallelism.DisableLossParallel)
            {
                sum.Add(CollectiveTraffic.AllGather, Group, ranks, microBatches, microBatches * batch * sequence * ((ILinear)split.Layers[region.Readers[0]]).Shape.N * TypeSize);
            }
            else
            {
                // The loss on parts of the vocabulary: the maxima, then two sums, one fp32 per token each.
                sum.Add(CollectiveTraffic.AllReduce, Group, ranks, 2 * microBatches, microBatches * batch * sequence * 3 * 4);
            }
        }

        WeightAmaxes(sum, units, modes, microBatches);
        foreach (var weight in units.SelectMany(u => u.Weights))
        {
            // A norm sees a part of the sequence: its gradient is the sum over the parts.
            if (split.StyleOf(weight.Fqn) == TensorParallelStyle.SequenceParallel) sum.Add(CollectiveTraffic.AllReduce, Group, ranks, microBatches, microBatches * weight.Rows.Rows * weight.Columns * 4);
            else if (weight.Layer is QuantizedLinear linear) Amaxes(sum, weight, linear.Recipe, IsRecomputed(weight.Fqn, modes), microBatches);
        }
    }

    /// <summary>Casts with one scale for a tensor of which every rank has a part: one fp32 each.</summary>
    private void Amaxes(TrafficSum sum, PlannedWeight weight, LinearRecipe recipe, bool again, int microBatches)
    {
        var forwards = again ? 2 : 1;
        var calls = 0;
        if (split.StyleOf(weight.Fqn) == TensorParallelStyle.Rowwise)
        {
            calls += forwards * One(recipe.Output.Left);
            if (recipe.GradWeight.Right != recipe.Output.Left) calls += One(recipe.GradWeight.Right);
        }
        else
        {
            calls += One(recipe.GradInput.Left);
            if (recipe.GradWeight.Left != recipe.GradInput.Left) calls += One(recipe.GradWeight.Left);
        }

        sum.Add(CollectiveTraffic.AllReduce, Group, ranks, calls * microBatches, 4L * calls * microBatches);
    }

    /// <summary>
    /// Weights with one scale: those that stay are reduced together once per optimizer step, those that travel encoded with the rest of their unit or, where scales are precomputed,
    /// together; only one that is gathered in high precision is looked at for each cast.
    /// </summary>
    private void WeightAmaxes(TrafficSum sum, IReadOnlyList<PlannedUnit> units, Dictionary<string, BlockCheckpointing> modes, int microBatches)
    {
        var split = units.Select(u => u.Weights.Where(w => w.Layer is QuantizedLinear).ToList()).ToList();
        int staying = 0, gathered = 0;
        foreach (var weight in split.SelectMany(u => u).Where(w => w.Codec is null))
        {
            var recipe = ((QuantizedLinear)weight.Layer).Recipe;
            int output = One(recipe.Output.Right), gradInput = One(recipe.GradInput.Right);
            if (dimensions.DataParallelShard == 1) staying += Math.Max(output, gradInput);
            else gathered += microBatches * ((IsRecomputed(weight.Fqn, modes) ? 2 : 1) * output + gradInput);
        }

        sum.Add(CollectiveTraffic.AllReduce, Group, ranks, Math.Min(1, staying), 4L * staying);
        sum.Add(CollectiveTraffic.AllReduce, Group, ranks, gathered, 4L * gathered);
        var encoded = split.Select(u => u.Sum(w => new[] { WeightUse.Output, WeightUse.GradInput }.Count(form => w.AmaxLength(form) == 1))).Where(n => n > 0).ToList();
        var together = split.SelectMany(u => u).Any(w => w.Codec is { PrecomputesScales: true });
        sum.Add(CollectiveTraffic.AllReduce, Group, ranks, together ? Math.Min(1, encoded.Count) : encoded.Count, 4L * encoded.Sum());
    }

    private static int One(OperandCast cast) => cast is OperandCast.Scaled { Granularity: ScaleGranularity.Tensorwise } ? 1 : 0;

    private IActivationCodec? Common(IReadOnlyList<string> readers)
    {
        var codecs = readers.Select(r => (split.Layers[r] as ILinear)?.InputCodec).Distinct().ToList();
        return codecs.Count == 1 ? codecs[0] : null;
    }

    private void Gather(TrafficSum sum, int calls, long features, IActivationCodec? codec, bool forBackward)
    {
        var (bytes, amaxes) = codec is null ? (batch * sequence * features * TypeSize, 0) : Encoded(codec, features, forBackward);
        sum.Add(CollectiveTraffic.AllGather, Group, ranks, calls, calls * bytes);
        sum.Add(CollectiveTraffic.AllReduce, Group, ranks, (long)calls * amaxes, 4L * calls * amaxes);
    }

    /// <summary>Partial sums: in fp32 reduced on the way, narrower ones exchanged and added in fp32 by the receiver.</summary>
    private void Scatter(TrafficSum sum, int calls, long features) =>
        sum.Add(type == ScalarType.Float32 ? CollectiveTraffic.ReduceScatter : CollectiveTraffic.AllToAll, Group, ranks, calls, calls * batch * sequence * features * TypeSize);

    /// <summary>Asks the codec itself, with a few tokens: what it gives is proportional to their number.</summary>
    private (long Bytes, int Amaxes) Encoded(IActivationCodec codec, long features, bool forBackward)
    {
        if (measured.TryGetValue((codec, features, forBackward), out var known)) return known;
        using var scope = NewDisposeScope();
        var part = sequence / ranks;
        // As divisible as the true number, and no more than needed.
        var tokens = part <= 512 ? part : 256 + part % 256;
        var amaxes = 0;
        var planes = codec.Encode(zeros(1, tokens, features, dtype: type), null, forBackward, amax =>
        {
            amaxes++;
            return amax.clone();
        })?.Planes;
        var result = planes is null
            ? (batch * sequence * features * TypeSize, 0)
            : (planes.Sum(p => p.numel() * p.element_size()) * batch * sequence / tokens, amaxes);
        return measured[(codec, features, forBackward)] = result;
    }

    private static bool IsRecomputed(string fqn, Dictionary<string, BlockCheckpointing> modes)
    {
        var block = modes.Keys.FirstOrDefault(b => fqn.StartsWith(b + ".", StringComparison.Ordinal));
        return block is not null && (modes[block] == BlockCheckpointing.Full || modes[block] == BlockCheckpointing.FeedForward && fqn.StartsWith(block + ".feed_forward", StringComparison.Ordinal));
    }
}
