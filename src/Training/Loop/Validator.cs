using System.Diagnostics;
using Titan.Abstractions;
using Titan.Training.Checkpoints;
using Titan.Training.Configuration;
using Titan.Training.Data;
using Titan.Training.Losses;
using static TorchSharp.torch;

namespace Titan.Training.Loop;

/// <summary>
/// Measures the loss on held-out text, without gradients. The whole set (<c>validation.steps</c> -1) gives the same value whatever the batch size and
/// the number of ranks: every token counts once, and sums differ by rounding alone.
/// </summary>
internal sealed class Validator(ValidationSection section, Func<DataLoader> open, LossFunction loss, Func<Batch, ModelBatch> share, TrainingRanks ranks)
{
    /// <summary>The mean loss per token over all ranks, and tokens per second and rank; null when a stop was asked for before the end.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/>, on all ranks, when one cannot read the text.</exception>
    public (double Loss, double TokensPerSecond)? Run(ModelInputs inputs, CancellationToken stop = default)
    {
        using var none = no_grad();
        using var data = open();
        Batch? batch = null;
        var watch = Stopwatch.StartNew();
        double sum = 0;
        long batches = 0, tokens = 0;
        while (section.Steps < 0 || batches < section.Steps)
        {
            // What one rank cannot read, or was asked, all must hear of: the next batch is computed together.
            if (Agreement.All(ranks.World, () => Next(data, stop, out batch)).Contains(false)) return null;
            if (batch is null) break;
            Failpoint.Hit("validation");
            using var scope = NewDisposeScope();
            var own = share(batch);
            sum += loss(inputs.Forward(own), own.Labels.reshape(-1), 1).item<float>();
            inputs.DropAuxiliary();
            batches++;
            tokens += batch.Counted;
        }

        if (ranks.Sum(sum, tokens) is not [var losses, var read]) throw new InvalidOperationException("a sum of two values");
        if (read == 0) throw new TitanException(ExitCode.Data, "the validation data has no token that follows another; give more text (validation.dataset_path)");
        // Where ranks share a sequence, each has read all of it and computed the losses of a part.
        return (losses * (ranks.SameData / ranks.SameLoss) / read, read / ranks.SameData / watch.Elapsed.TotalSeconds / ranks.World.Size);
    }

    /// <summary>The next batch, null at the end; false when a stop was asked for.</summary>
    private static bool Next(DataLoader data, CancellationToken stop, out Batch? batch) => Interruptible.TryRun(data.Next, stop, out batch) && !stop.IsCancellationRequested;
}
