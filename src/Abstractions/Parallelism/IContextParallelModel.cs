using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>
/// A model whose tokens look at each other in its attention layers alone: everything else takes a token by itself, with its place in the sequence (<see cref="ModelBatch.Positions"/>).
/// So ranks can share its sequences.
/// </summary>
public interface IContextParallelModel
{
    /// <summary>The attention layers with their FQNs, in the order of forward.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/>, naming what needs whole sequences.</exception>
    IReadOnlyList<(string Fqn, IAttentionLayer Layer)> AttentionLayers { get; }
}

/// <summary>A layer in which the tokens of a sequence look at each other.</summary>
public interface IAttentionLayer
{
    /// <summary>What it computes on this rank.</summary>
    AttentionShape Shape { get; }

    /// <summary>Why ranks cannot share its sequences; null when they can.</summary>
    string? NeedsWholeSequences => null;

    /// <summary>
    /// Computes what <see cref="IModelKernels.Attend"/> would of whole sequences, where this rank has a part of each: q [B, H, s, D], k and v [B, KV, s, D] in the compute
    /// dtype to [B, H, s, D] of that dtype. Null where sequences are whole.
    /// </summary>
    Func<Tensor, Tensor, Tensor, Tensor>? AttendOverRanks { get; set; }
}

/// <summary>An attention layer on one rank.</summary>
/// <param name="Heads">Heads of the queries.</param>
/// <param name="KvHeads">Heads of keys and values.</param>
/// <param name="HeadDimension">Dimension of a head.</param>
/// <param name="Causal">Whether a query sees no later key.</param>
/// <param name="Window">How many keys back a query sees, itself included; null for all.</param>
public sealed record AttentionShape(long Heads, long KvHeads, long HeadDimension, bool Causal, long? Window);
