using System.Globalization;
using Titan.Abstractions;
using Titan.Models;
using Titan.Training.Configuration;
using Titan.Training.Data;

namespace Titan.Host.Planning;

/// <summary>
/// The least memory and time that a job needs on a rank, from its numbers alone. Bounds from below: a job that exceeds a machine by them cannot run on it; one that does not may
/// still not fit.
/// </summary>
/// <param name="Parts">What is in memory at the same time, in bytes, with the keys that change it.</param>
/// <param name="Estimate">The bytes that it is expected to need.</param>
/// <param name="StepFlops">Operations of an optimizer step.</param>
/// <param name="ValidationFlops">Operations of a validation; 0 without one, or for the whole set.</param>
internal sealed record RunNeeds(IReadOnlyList<(string What, string Keys, double Bytes)> Parts, double Estimate, double StepFlops, double ValidationFlops)
{
    private const double GiB = 1L << 30, Long = 3600;

    /// <summary>Bytes at the least.</summary>
    public double Bytes => Parts.Sum(p => p.Bytes);

    /// <summary>What a job needs.</summary>
    /// <param name="config">The job.</param>
    /// <param name="c">The model's numbers.</param>
    /// <param name="dimensions">The mesh.</param>
    /// <param name="wholeLogits">Whether ranks that share a layer have the logits of the whole vocabulary each.</param>
    public static RunNeeds Of(JobConfig config, ModelCounts c, ParallelDimensions dimensions, bool wholeLogits = false)
    {
        // In floating point: what cannot fit is what integers cannot hold either.
        double tensor = dimensions.TensorParallel, size = config.Training.Dtype == "float32" ? 4 : 2, compute = config.Training.MixedPrecisionParam == "float32" ? 4 : 2;
        // Ranks that share a micro-batch: each has a part of its sequences, or of its blocks.
        double sharing = (double)dimensions.ContextParallel * dimensions.PipelineParallel;
        // Weights, gradients and two moments of the optimizer; of what is frozen the weights alone, and nobody knows yet what a converter freezes.
        var mayFreeze = config.Model.FrozenFqns.Count > 0 || config.Model.Converters.Any(n => !n.StartsWith("quantize.", StringComparison.Ordinal));
        var states = (mayFreeze ? 1 : 4) * size * c.Parameters / (dimensions.FullyShard * tensor * dimensions.PipelineParallel);
        double tokens = (double)config.Training.LocalBatchSize * config.Training.SeqLen, accumulation = GradientAccumulation.Steps(config.Training, dimensions);
        var logits = compute * c.Vocabulary / (wholeLogits ? 1 : tensor);
        // However much is recomputed, the input of each block is kept.
        var micro = tokens / sharing * (c.Layers * compute * c.Dimension / tensor + logits);
        var v = config.Validation;
        var held = v.Enable ? (double)v.LocalBatchSize * v.SeqLen : 0;
        // Ids and labels of all micro-batches are read before the first.
        var parts = new List<(string, string, double)>
        {
            ("weights, gradients and optimizer states", "model.flavor, or give it more ranks (parallelism.data_parallel_shard_degree)", states),
            ("the token ids of a step", "training.global_batch_size", 16 * tokens * accumulation),
        };
        parts.Add(held / sharing * logits > micro
            ? ("a validation batch", "validation.local_batch_size or validation.seq_len", held * (logits / sharing + 16))
            : ("block inputs and logits of a micro-batch", "training.local_batch_size or training.seq_len", micro));
        var (activations, _) = ActivationMemory.Of(config, c, dimensions.TensorParallel, dimensions.ContextParallel, wholeLogits);
        return new RunNeeds(parts, states + 16 * tokens * accumulation + Math.Max(activations, held / sharing * logits), (double)c.FlopsPerToken(config.Training.SeqLen) * tokens * accumulation / (tensor * sharing),
            v is { Enable: true, Steps: > 0 } ? c.FlopsPerToken(v.SeqLen) / 3.0 * held * v.Steps / (tensor * sharing) : 0);
    }

    /// <summary>Why the job cannot run on a machine; null when it may.</summary>
    /// <param name="machine">What a rank has.</param>
    /// <param name="where">On which ranks, for the message.</param>
    public string? Problem(RankMachine machine, string where = "on a rank")
    {
        if (Bytes <= machine.Bytes) return null;
        var largest = Parts.MaxBy(p => p.Bytes);
        return $"the job needs at least {Gib(Bytes)} of memory {where} ({string.Join(", ", Parts.Select(p => $"{p.What} {Gib(p.Bytes)}"))}); {machine.Name} has {Gib(machine.Bytes)}; lower {largest.Keys}";
    }

    /// <summary>What may end the run later, or keep it from ending.</summary>
    public IEnumerable<string> Warnings(RankMachine machine)
    {
        if (Bytes <= machine.Bytes && Estimate > machine.FreeBytes)
            yield return $"the job is estimated to need {Gib(Estimate)} of memory on a rank; {machine.Name} has {Gib(machine.FreeBytes)} free, so the run may end for want of memory; 'titan plan' shows what needs it";
        if (StepFlops / machine.FlopsPerSecond > Long)
            yield return Text($"an optimizer step of {StepFlops:E1} operations on a rank takes at least {Duration(StepFlops / machine.FlopsPerSecond)}: nothing is logged or saved before; lower training.global_batch_size, training.seq_len or model.flavor");
        if (ValidationFlops / machine.FlopsPerSecond > Long)
            yield return Text($"a validation of {ValidationFlops:E1} operations on a rank takes at least {Duration(ValidationFlops / machine.FlopsPerSecond)}, the first of them after step 1; lower validation.steps");
    }

    private static string Gib(double bytes) => Text($"{bytes / GiB:N1} GiB");

    private static string Duration(double seconds) => seconds switch
    {
        > 2 * 365.25 * 24 * 3600 => Text($"{seconds / (365.25 * 24 * 3600):N0} years"),
        > 2 * 24 * 3600 => Text($"{seconds / (24 * 3600):N0} days"),
        _ => Text($"{seconds / 3600:N0} hours"),
    };

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
