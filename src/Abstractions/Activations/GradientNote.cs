using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>
/// What the backward that makes a gradient tells the backward that receives it, since autograd hands over the gradient alone. The layer that made the activation asks by its
/// <see cref="WantsAmax"/>; the function that read the activation writes; the layer's backward takes.
/// </summary>
/// <param name="wantsAmax">Whether the receiver will look for the gradient's amax.</param>
public sealed class GradientNote(bool wantsAmax)
{
    private readonly Lock guard = new();
    private GradientFacts? facts;

    /// <summary>Whether the receiver will look for the gradient's amax.</summary>
    public bool WantsAmax => wantsAmax;

    /// <summary>Leaves what is known of a gradient in the place of what was known before.</summary>
    /// <param name="known">Owned by the note.</param>
    public void Put(GradientFacts known)
    {
        lock (guard)
        {
            facts?.Dispose();
            facts = known;
        }
    }

    /// <summary>Takes what was left; null for nothing. The caller disposes it, and checks that it is about the gradient that came.</summary>
    public GradientFacts? Take()
    {
        lock (guard)
        {
            var known = facts;
            facts = null;
            return known;
        }
    }
}

/// <summary>What is known of a gradient.</summary>
/// <param name="Gradient">The gradient, under a handle of its own: as long as it is here, nothing else can come to lie in its memory, and autograd adds nothing to it in place.</param>
/// <param name="Version">How often the gradient had been written to.</param>
/// <param name="AmaxParts">fp32 [P]: magnitudes whose maximum is its amax; null for not known.</param>
/// <param name="Casts">Its casts, under keys as those of <see cref="Activation.Attach"/>.</param>
public sealed record GradientFacts(Tensor Gradient, long Version, Tensor? AmaxParts, IReadOnlyList<(object Key, IDisposable Cast)> Casts) : IDisposable
{
    /// <inheritdoc />
    public void Dispose()
    {
        Gradient.Dispose();
        AmaxParts?.Dispose();
        foreach (var (_, cast) in Casts) cast.Dispose();
    }
}
