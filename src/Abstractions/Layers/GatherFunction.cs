using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>The differentiable form of <see cref="IWeightSource.Gather"/>, for layers that hand their weight to ATen.</summary>
public sealed class GatherFunction : GuardedFunction
{
    private readonly IWeightSource source;
    private readonly ScalarType type;

    private GatherFunction(IWeightSource source, ScalarType type) => (this.source, this.type) = (source, type);

    /// <summary>The whole weight in <paramref name="type"/>; its gradient reaches <see cref="IWeightSource.Parameter"/>.</summary>
    public static Tensor Weight(IWeightSource source, ScalarType type) =>
        source is ParameterSource
            ? source.Parameter.to(type)         // autograd knows this cast; no need for a function of our own
            : new GatherFunction(source, type).Apply(source.Parameter);

    /// <inheritdoc />
    protected override Tensor Forward(Tensor[] inputs) => source.Gather(type);

    /// <inheritdoc />
    protected override Tensor?[] Backward(Tensor gradient) => [source.ReduceGradient(gradient)];
}
