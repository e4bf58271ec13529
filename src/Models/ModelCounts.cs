namespace Titan.Models;

/// <summary>The numbers of a model that follow from its arguments.</summary>
/// <param name="Parameters">All parameters; one that several layers share counts once.</param>
/// <param name="EmbeddingParameters">Those of tables in which tokens and positions are only looked up, which do no arithmetic.</param>
/// <param name="Layers">Transformer blocks.</param>
/// <param name="Heads">Attention heads.</param>
/// <param name="HeadDimension">Dimension of a head's queries and keys.</param>
/// <param name="Dimension">Model dimension.</param>
/// <param name="KvHeads">Key and value heads.</param>
/// <param name="FeedForward">Hidden features of a token in a feed-forward layer, the mean over all layers: of a mixture those of its experts and of the shared ones.</param>
/// <param name="Vocabulary">Vocabulary size.</param>
public sealed record ModelCounts(
    long Parameters, long EmbeddingParameters, int Layers, int Heads, int HeadDimension, long Dimension, int KvHeads, long FeedForward, long Vocabulary)
{
    /// <summary>Parameters that a token meets: of a mixture's experts those that it is sent to.</summary>
    public long ActiveParameters { get; init; } = Parameters;

    /// <summary>Dimension of a head's values, where queries and keys are wider.</summary>
    public int ValueDimension { get; init; } = HeadDimension;

    /// <summary>Copies of a token that go to experts, the mean over all layers.</summary>
    public double RoutedRows { get; init; }

    /// <summary>
    /// Forward and backward FLOPs per token: 6 per parameter that multiplies it, and 6 · layers · heads · (width of a query + of a value) · sequence length for attention
    /// (upstream's formula: no discount for the causal half, no recomputation).
    /// </summary>
    public long FlopsPerToken(long sequenceLength) =>
        6 * (ActiveParameters - EmbeddingParameters) + 6L * Layers * Heads * (HeadDimension + ValueDimension) * sequenceLength;
}
