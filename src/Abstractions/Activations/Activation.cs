using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>
/// An activation on its way from the layer that makes it to the layers that read it: the values, and what is known of them besides. Its maker may know the amax; a reader leaves
/// its cast for the next reader (wq, wk and wv cast once); a parallelism attaches the bytes that came from other ranks. The values must not be written to while it lives.
/// </summary>
/// <param name="values">[..., F]. The handle stays the caller's.</param>
/// <param name="amaxParts">fp32 [P]: magnitudes whose maximum is the amax of the values; null where nobody has looked. Owned from here on.</param>
/// <param name="gradient">Where the backward of whatever reads the values says what it knows of their gradient; null where the maker does not ask.</param>
public sealed class Activation(Tensor values, Tensor? amaxParts = null, GradientNote? gradient = null) : IDisposable
{
    private readonly List<(object Key, IDisposable Cast)> casts = [];
    private readonly Tensor? amaxParts = amaxParts?.DetachFromDisposeScope();

    /// <summary>[..., F].</summary>
    public Tensor Values => values;

    /// <summary>fp32 [P]: magnitudes whose maximum is the amax of <see cref="Values"/>; null where it is not known.</summary>
    public Tensor? AmaxParts => amaxParts;

    /// <summary>Where the backward of a reader says what it knows of the gradient of <see cref="Values"/>; null where the maker does not ask.</summary>
    public GradientNote? Gradient => gradient;

    /// <summary>The cast that was attached under <paramref name="key"/>; null for none. Stays the activation's.</summary>
    public T? Find<T>(object key) where T : class, IDisposable => casts.FirstOrDefault(c => c.Key.Equals(key)).Cast as T;

    /// <summary>Attaches a cast of the values for the readers that come.</summary>
    /// <param name="key">What tells casts apart, compared by value: who casts, and how.</param>
    /// <param name="cast">Owned from here on; its tensors belong to no dispose scope.</param>
    public void Attach(object key, IDisposable cast) => casts.Add((key, cast));

    /// <summary>Drops the casts and the amax; the values are their owner's.</summary>
    public void Dispose()
    {
        foreach (var (_, cast) in casts) cast.Dispose();
        casts.Clear();
        amaxParts?.Dispose();
    }
}
