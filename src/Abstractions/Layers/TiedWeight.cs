using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>
/// A weight that two layers read: the table of an <see cref="Embedding"/> that is also the head's weight. Their two gradients of a backward are summed in fp32 and handed on as
/// one, so that a parallelism, or another micro-batch, adds whole gradients in the same order as where nothing is tied. The embedding stands first in forward, so it delivers last.
/// </summary>
/// <param name="inner">The weight.</param>
public sealed class TiedWeight(IWeightSource inner) : IWeightSource
{
    private Tensor? first;

    /// <inheritdoc />
    public Parameter Parameter => inner.Parameter;

    /// <inheritdoc />
    public ShardLayout Layout => inner.Layout;

    /// <inheritdoc />
    public int Replicas => inner.Replicas;

    /// <inheritdoc />
    public bool IsTied => true;

    /// <inheritdoc />
    public IProcessGroup? PartsGroup => inner.PartsGroup;

    /// <inheritdoc />
    public Tensor Gather(ScalarType type) => inner.Gather(type);

    /// <inheritdoc />
    public Tensor? ReduceGradient(Tensor gradient)
    {
        using var none = no_grad();
        if (first is not { } other)
        {
            first = gradient.to(ScalarType.Float32, copy: true).DetachFromDisposeScope();
            return null;
        }

        first = null;
        using (other)
        using (var sum = other + gradient) return inner.ReduceGradient(sum);
    }

    /// <inheritdoc />
    public IWeightSource Over(Parameter parameter) => new TiedWeight(inner.Over(parameter));
}
