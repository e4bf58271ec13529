using Titan.Training.Configuration;

using Titan.Models;

namespace Titan.Host.Planning;

/// <summary>What backward needs of forward on one rank, estimated from the model's numbers.</summary>
internal static class ActivationMemory
{
    /// <summary>Bytes, and what they rest on.</summary>
    /// <param name="config">The job.</param>
    /// <param name="c">The model's numbers.</param>
    /// <param name="tensorParallel">Ranks that share a layer.</param>
    /// <param name="contextParallel">Ranks that share a sequence.</param>
    /// <param name="wholeLogits">Whether ranks that share a layer have the logits of the whole vocabulary each.</param>
    public static (long Bytes, string Assumption) Of(JobConfig config, ModelCounts c, int tensorParallel = 1, int contextParallel = 1, bool wholeLogits = false)
    {
        long computeBytes = config.Training.MixedPrecisionParam == "float32" ? 4 : 2;
        long tokens = (long)config.Training.LocalBatchSize * config.Training.SeqLen / contextParallel;
        long kv = (long)c.KvHeads * c.HeadDimension;
        // Of w1, w3 and their product; of a mixture also the rows that go to experts and come back, and the router's input in fp32.
        var routed = c.RoutedRows > 0 ? (long)(2 * computeBytes * c.RoutedRows * c.Dimension) + 4 * c.Dimension : 0;
        var second = tokens * (computeBytes * 4 * c.FeedForward + routed) / tensorParallel;
        // Kept by one block and token: the inputs of the norms (fp32), of the linears, q, k and v after RoPE, the attention's output, and what the feed-forward half keeps.
        var block = tokens * (2 * 4 * c.Dimension + computeBytes * (4 * c.Dimension + 2 * c.Heads * c.HeadDimension + 2 * kv)) / tensorParallel + second;
        // What attention and the feed-forward layer read is gathered over the sequence.
        if (tensorParallel > 1) block += tokens * computeBytes * 2 * c.Dimension * (tensorParallel - 1) / tensorParallel;
        var input = tokens * computeBytes * c.Dimension / tensorParallel;
        var every = config.ActivationCheckpoint is { Mode: "selective" } ac && int.TryParse(ac.SelectiveAcOption, out var n) ? n : 0;
        var (kept, why) = config.ActivationCheckpoint.Mode switch
        {
            "full" => (c.Layers * input + block, "only block inputs are kept, and one block that is computed again"),
            "selective" when config.ActivationCheckpoint.SelectiveAcOption == "op" =>
                (c.Layers * (block - second) + block, "the feed-forward halves are computed again"),
            "selective" when every == 0 => (c.Layers * input + block, "every block is computed again"),
            "selective" => ((c.Layers - c.Layers / every) * block + c.Layers / every * input + block, $"every {every}. block is computed again"),
            _ => (c.Layers * block, "everything is kept"),
        };
        var logits = tokens * c.Vocabulary * (computeBytes + 2 * 4) / (wholeLogits ? 1 : tensorParallel);
        var split = tensorParallel > 1 ? $"; split over {tensorParallel} ranks but for the gathered inputs of attention and feed-forward" : "";
        if (contextParallel > 1) split += $"; each rank has 1/{contextParallel} of a sequence";
        return (kept + logits, $"activations: local batch {config.Training.LocalBatchSize} x {config.Training.SeqLen} tokens; {why}{split}; attention keeps no score matrix; " +
            $"logits in {config.Training.MixedPrecisionParam} and twice in fp32");
    }
}
