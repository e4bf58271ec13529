using Titan.Abstractions;
using Titan.Training.Configuration;

namespace Titan.Training.Data;

/// <summary>The micro-batches of an optimizer step: <c>global_batch_size / (local_batch_size * data-parallel ranks)</c>.</summary>
public static class GradientAccumulation
{
    /// <summary>The most micro-batches of a step.</summary>
    public const int Most = 1 << 20;

    /// <summary>Why the batch sizes do not fit each other; null when they do.</summary>
    /// <param name="training">The sizes.</param>
    /// <param name="dimensions">The mesh.</param>
    public static string? Problem(TrainingSection training, ParallelDimensions dimensions)
    {
        var together = (long)training.LocalBatchSize * dimensions.Batch;
        return training.GlobalBatchSize < 0 || (training.GlobalBatchSize % together == 0 && training.GlobalBatchSize / together <= Most)
            ? null
            : training.GlobalBatchSize % together == 0 ? $"{training.GlobalBatchSize / together} micro-batches of a step are more than {Most}; lower it, or raise local_batch_size or the number of ranks"
            : $"expected a multiple of local_batch_size * data-parallel ranks = {training.LocalBatchSize} * {dimensions.Batch} = {together}, or -1 for that";
    }

    /// <summary>Forward and backward passes of a rank per optimizer step.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/> when the sizes do not fit.</exception>
    public static int Steps(TrainingSection training, ParallelDimensions dimensions) =>
        Problem(training, dimensions) is { } problem ? throw new TitanException(ExitCode.Usage, $"training.global_batch_size = {training.GlobalBatchSize}: {problem}")
        : training.GlobalBatchSize < 0 ? 1 : training.GlobalBatchSize / (training.LocalBatchSize * dimensions.Batch);
}

/// <summary>What a rank reads at once.</summary>
public static class MicroBatch
{
    /// <summary>The most tokens: those of one array.</summary>
    public static long MostTokens => Array.MaxLength;

    /// <summary>Why so many sequences of this length are no micro-batch; null when they are one.</summary>
    public static string? Problem(int sequences, int length) => (long)sequences * length <= MostTokens
        ? null
        : $"local_batch_size * seq_len = {(long)sequences * length} tokens: expected at most {MostTokens} in a micro-batch; lower one of the two (for more sequences per step raise training.global_batch_size)";
}
