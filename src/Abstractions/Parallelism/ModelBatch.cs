using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>A micro-batch as a model computes it: whole sequences, or what a parallelism leaves of them to a rank.</summary>
/// <param name="Tokens">[B, S] int64.</param>
/// <param name="Labels">[B, S] int64: the token that follows each in its sequence, or -100, which counts for nothing.</param>
/// <param name="Positions">[S] or [B, S] int64: the place of each token in its sequence; null for 0 to S - 1.</param>
public sealed record ModelBatch(Tensor Tokens, Tensor Labels, Tensor? Positions = null)
{
    /// <summary>[B, S] int64, equal for the tokens of one document; null where the tokens tell, which a document ends with one of its own. A batch whose sequences are split has none.</summary>
    public Tensor? Documents { get; init; }

    /// <summary>Why the tensors do not belong together; null when they do.</summary>
    public string? Problem =>
        Tokens is null || Labels is null ? "no tokens or no labels"
        : Tokens.dim() != 2 || !Tokens.shape.SequenceEqual(Labels.shape)
            ? $"tokens [{string.Join(", ", Tokens.shape)}] and labels [{string.Join(", ", Labels.shape)}]; expected both [B, S]"
        : Positions is not null && !Positions.shape.SequenceEqual(Tokens.shape) && !Positions.shape.SequenceEqual(Tokens.shape[1..])
            ? $"positions [{string.Join(", ", Positions.shape)}]; expected [{Tokens.shape[1]}] or [{string.Join(", ", Tokens.shape)}]"
        : new[] { Tokens, Labels, Positions }.FirstOrDefault(t => t is not null && t.dtype != ScalarType.Int64) is { } other
            ? $"{other.dtype}; expected Int64"
            : null;
}
