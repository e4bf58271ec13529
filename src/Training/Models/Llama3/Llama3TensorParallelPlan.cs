using Titan.Abstractions;
using static Titan.Abstractions.TensorParallelStyle;

namespace Titan.Training.Models.Llama3;

/// <summary>
/// Upstream's plan for Llama 3: wq, wk, wv, w1, w3 and the head colwise, wo and w2 rowwise, the table over the vocabulary, norms on parts of the sequence. Attention, the
/// feed-forward layer and the head gather the sequence; what attention and the feed-forward layer give is scattered again.
/// </summary>
internal static class Llama3TensorParallelPlan
{
    public static TensorParallelPlan Of(
        Llama3Args args, int length, Embedding table, IReadOnlyList<(IActivationBoundary Attention, IActivationBoundary FeedForward)> blocks, IActivationBoundary head)
    {
        List<TensorParallelLayer> layers = [new("tok_embeddings", VocabularyParallel)];
        List<SequenceRegion> regions = [];
        foreach (var (index, (attention, feedForward)) in blocks.Index())
        {
            string a = $"layers.{index}.attention", f = $"layers.{index}.feed_forward";
            layers.AddRange(
            [
                new($"{a}.wq", Colwise), new($"{a}.wk", Colwise), new($"{a}.wv", Colwise), new($"{a}.wo", Rowwise),
                new($"{f}.w1", Colwise), new($"{f}.w2", Rowwise), new($"{f}.w3", Colwise),
                new($"{a}_norm", SequenceParallel), new($"layers.{index}.ffn_norm", SequenceParallel),
            ]);
            regions.Add(new SequenceRegion(a, attention, [$"{a}.wq", $"{a}.wk", $"{a}.wv"], $"{a}.wo"));
            regions.Add(new SequenceRegion(f, feedForward, [$"{f}.w1", $"{f}.w3"], $"{f}.w2"));
        }

        layers.AddRange([new("norm", SequenceParallel), new("output", Colwise)]);
        regions.Add(new SequenceRegion("output", head, ["output"], null));
        return new TensorParallelPlan(layers, table, regions, [("heads", args.Heads), ("key and value heads", args.KvHeads), ("sequence length", length)]);
    }
}
