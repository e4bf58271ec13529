namespace Titan.Models;

/// <summary>What a model's numbers need to know of its attention, whatever its kind.</summary>
public interface IAttentionArgs
{
    /// <summary>Heads of the queries.</summary>
    int Heads { get; }

    /// <summary>Heads of keys and values.</summary>
    int KvHeads { get; }

    /// <summary>Width of a query and a key.</summary>
    int HeadDimension { get; }

    /// <summary>Width of a value.</summary>
    int ValueDimension { get; }
}

/// <summary>Multi-head attention, with keys and values that heads may share (grouped queries).</summary>
/// <param name="Heads">Heads of the queries.</param>
/// <param name="KvHeads">Heads of keys and values; divides Heads.</param>
/// <param name="HeadDimension">Dimension of a head, even where there is a rotary embedding.</param>
public sealed record AttentionArgs(int Heads, int KvHeads, int HeadDimension) : SublayerArgs, IAttentionArgs
{
    /// <summary>Whether the four projections have biases.</summary>
    public bool Bias { get; init; }

    /// <summary>The norm over the head dimension of queries and keys, before the rotary embedding; null for none.</summary>
    public NormArgs? QueryKeyNorm { get; init; }

    /// <summary>Whether a query sees no later key.</summary>
    public bool Causal { get; init; } = true;

    /// <summary>How many keys back a query sees, itself included; null for all.</summary>
    public long? Window { get; init; }

    /// <summary>A query sees the keys of its own block of so many positions alone (Llama 4's chunks); null for all.</summary>
    public long? FixedBlock { get; init; }

    /// <summary>Whether queries and keys are rotated where the model has a rotary embedding.</summary>
    public bool Rotates { get; init; } = true;

    /// <summary>Whether each head has a learned logit to which attention may go without reading anything (<c>sinks</c> [Heads]).</summary>
    public bool Sinks { get; init; }

    /// <inheritdoc />
    public int ValueDimension => HeadDimension;

    /// <inheritdoc />
    public override long Parameters(long dimension)
    {
        long q = (long)Heads * HeadDimension, kv = (long)KvHeads * HeadDimension;
        return 2 * q * dimension + 2 * kv * dimension + (Bias ? q + 2 * kv + dimension : 0) + (QueryKeyNorm is { } norm ? 2 * norm.Parameters(HeadDimension) : 0) + (Sinks ? Heads : 0);
    }

    /// <inheritdoc />
    public override Sublayer Create(long dimension, ModelContext context) => Sinks ? new SinkAttention(this, dimension, context) : new Attention(this, dimension, context);
}
