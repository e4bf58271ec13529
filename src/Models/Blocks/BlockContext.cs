using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Models;

/// <summary>What every block needs besides the residual stream.</summary>
/// <param name="Angles">Of the rotary embedding, for the positions of this batch; null for none.</param>
/// <param name="Masks">Where attention may look.</param>
/// <param name="Choices">Which experts the routers chose.</param>
public sealed record BlockContext(RotaryAngles? Angles, AttentionMasks Masks, ExpertChoices Choices);

/// <summary>The masks of a batch. Until the forward ends, each is made once for all layers that ask for it; what is computed again in backward makes its own.</summary>
/// <param name="length">S.</param>
/// <param name="device">Where.</param>
/// <param name="documents">[B, S] int64, equal for the tokens of one document; null for one document. Must live until backward ends.</param>
public sealed class AttentionMasks(long length, Device device, Tensor? documents) : IDisposable
{
    private readonly Dictionary<(bool Causal, long? Window, long? Block), Tensor> made = [];
    private bool ended;

    /// <summary>[B or 1, 1, S, S] bool, true where a query may look; valid as long as the caller's dispose scope.</summary>
    /// <param name="causal">Whether a query sees no later key.</param>
    /// <param name="window">How many keys back a query sees, itself included; null for all.</param>
    /// <param name="block">A query sees the keys of its own block of so many positions alone; null for all.</param>
    /// <returns>Null where <paramref name="causal"/> alone says it.</returns>
    public Tensor? Of(bool causal, long? window, long? block = null)
    {
        if (documents is null && (window is null || window >= length) && (block is null || block >= length)) return null;
        if (made.TryGetValue((causal, window, block), out var known)) return known;
        var mask = Make(causal, window, block);
        if (!ended) made[(causal, window, block)] = mask.DetachFromDisposeScope();
        return mask;
    }

    /// <summary>The forward has ended.</summary>
    public void Dispose()
    {
        ended = true;
        foreach (var mask in made.Values) mask.Dispose();
        made.Clear();
    }

    private Tensor Make(bool causal, long? window, long? block)
    {
        using var scope = NewDisposeScope();
        var mask = ones(length, length, dtype: ScalarType.Bool, device: device);
        if (causal) mask = mask.tril();
        if (window is { } w) mask = mask.triu(1 - w);
        if (block is { } size)
        {
            var of = arange(length, dtype: ScalarType.Int64, device: device).div(size, RoundingMode.floor);
            mask = mask.logical_and(of.unsqueeze(1).eq(of));
        }

        mask = documents is null ? mask.unsqueeze(0) : documents.unsqueeze(2).eq(documents.unsqueeze(1)).logical_and(mask);
        return mask.unsqueeze(1).MoveToOuterDisposeScope();
    }
}
