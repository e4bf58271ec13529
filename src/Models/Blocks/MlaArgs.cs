namespace Titan.Models;

/// <summary>
/// Multi-head latent attention (DeepSeek-V2): keys and values are made of a narrow vector per token, and one rotated key is shared by all heads. Queries and keys have a part without position and
/// one that turns; values may be narrower.
/// </summary>
/// <param name="Heads">Heads.</param>
/// <param name="KvRank">Width of the vector of which keys and values are made.</param>
/// <param name="NopeDimension">Width of the part of queries and keys without position.</param>
/// <param name="RopeDimension">Width of the part that turns.</param>
/// <param name="ValueDimension">Width of values.</param>
/// <param name="Norm">Of the narrow vectors.</param>
public sealed record MlaArgs(int Heads, int KvRank, int NopeDimension, int RopeDimension, int ValueDimension, NormArgs Norm) : SublayerArgs, IAttentionArgs
{
    /// <summary>Width of a vector of which queries are made; null where they are made of the input.</summary>
    public int? QueryRank { get; init; }

    /// <summary>What the softmax scale, HeadDimension^-0.5, is multiplied by in a model for sequences of so many tokens.</summary>
    public Func<int, double> ScaleFactor { get; init; } = _ => 1;

    /// <inheritdoc />
    public int KvHeads => Heads;

    /// <inheritdoc />
    public int HeadDimension => NopeDimension + RopeDimension;

    /// <inheritdoc />
    public override long Parameters(long dimension)
    {
        long q = (long)Heads * HeadDimension;
        var queries = QueryRank is { } rank ? rank * dimension + Norm.Parameters(rank) + q * rank : q * dimension;
        return queries + (KvRank + RopeDimension) * dimension + Norm.Parameters(KvRank) + (long)Heads * (NopeDimension + ValueDimension) * KvRank + (long)Heads * ValueDimension * dimension;
    }

    /// <inheritdoc />
    public override Sublayer Create(long dimension, ModelContext context)
    {
        if (ValueDimension > HeadDimension) throw new ArgumentException($"values of width {ValueDimension}; expected at most the {HeadDimension} of queries and keys");
        return new LatentAttention(this, dimension, context);
    }
}
