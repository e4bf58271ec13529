namespace Titan.Models;

/// <summary>A decoder-only transformer as data: embedding, blocks, norm, head.</summary>
/// <param name="Dimension">Model dimension.</param>
/// <param name="Layers">Transformer blocks.</param>
/// <param name="Vocabulary">Vocabulary size.</param>
/// <param name="Norm">Before the head.</param>
/// <param name="Block">The arguments of block i, counted from 0.</param>
/// <param name="Initialization">How a parameter of a given name is filled.</param>
public sealed record DecoderArgs(int Dimension, int Layers, int Vocabulary, NormArgs Norm, Func<int, BlockArgs> Block, Func<string, Initializer> Initialization)
{
    /// <summary>The rotary embedding of all attention layers; null for none.</summary>
    public RotaryArgs? Rotary { get; init; }

    /// <summary>The positions that have a learned vector, added to the token's; null for none.</summary>
    public int? LearnedPositions { get; init; }

    /// <summary>Whether the embedding is also the head's weight.</summary>
    public bool TiedEmbeddings { get; init; }

    /// <summary>Whether attention stops at document borders.</summary>
    public bool DocumentMask { get; init; }

    /// <summary>The numbers that follow; those of heads are of the first block, those of feed-forward layers the mean of all.</summary>
    public ModelCounts Counts
    {
        get
        {
            var first = Block(0);
            var attention = first.Attention as IAttentionArgs ?? throw new InvalidOperationException($"the first block's attention is {first.Attention}; an attention of one's own implements IAttentionArgs");
            long embedding = (long)Vocabulary * Dimension, blocks = Enumerable.Range(0, Layers).Sum(i => Block(i).Parameters(Dimension));
            long positions = (long)(LearnedPositions ?? 0) * Dimension, tables = embedding + positions, rest = blocks + Norm.Parameters(Dimension);
            // A tied table multiplies as the head does.
            var (parameters, lookedUp) = TiedEmbeddings ? (tables + rest, positions) : (tables + embedding + rest, tables);
            var halves = Enumerable.Range(0, Layers).Select(i => Block(i).FeedForward).ToList();
            var unused = halves.Sum(h => h.Parameters(Dimension) - h.ActiveParameters(Dimension));
            return new ModelCounts(parameters, lookedUp, Layers, attention.Heads, attention.HeadDimension, Dimension, attention.KvHeads, (long)halves.Average(h => h.HiddenOfToken), Vocabulary)
            {
                ActiveParameters = parameters - unused, ValueDimension = attention.ValueDimension, RoutedRows = halves.Average(h => h.RowsOfToken),
            };
        }
    }
}
