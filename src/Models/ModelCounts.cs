namespace Titan.Models;

/// <summary>The numbers of a model that follow from its arguments.</summary>
/// <param name="Parameters">All parameters; one that several layers share counts once.</param>
/// <param name="EmbeddingParameters">Those of tables in which tokens and positions are only looked up, which do no arithmetic.</param>
/// <param name="Layers">Transformer blocks.</param>
/// <param name="Heads">Attention heads.</param>
/// <param name="HeadDimension">Dimension of a head.</param>
/// <param name="Dimension">Model dimension.</param>
/// <param name="KvHeads">Key and value heads.</param>
/// <param name="FeedForward">Hidden dimension of the feed-forward layers.</param>
/// <param name="Vocabulary">Vocabulary size.</param>
public sealed record ModelCounts(
    long Parameters, long EmbeddingParameters, int Layers, int Heads, int HeadDimension, long Dimension, int KvHeads, long FeedForward, long Vocabulary)
{
    /// <summary>
    /// Forward and backward FLOPs per token: 6 per parameter that multiplies, and 6 · layers · heads · 2 · head dimension · sequence length for attention
    /// (upstream's formula: no discount for the causal half, no recomputation).
    /// </summary>
    public long FlopsPerToken(long sequenceLength) =>
        6 * (Parameters - EmbeddingParameters) + 6L * Layers * Heads * 2 * HeadDimension * sequenceLength;
}
