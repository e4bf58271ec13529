using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>The differentiable form of <see cref="IWeightSource.Gather"/>, for layers that hand their weight to ATen.</summary>
public sealed class GatherFunction : GuardedFunction<GatherFunction>
{
    /// <summary>The whole weight in <paramref name="type"/>; its gradient reaches <see cref="IWeightSource.Parameter"/>.</summary>
    public static Tensor Weight(IWeightSource source, ScalarType type) =>
        source is ParameterSource
            ? source.Parameter.to(type)         // autograd knows this cast; no need for a function of our own
            : Apply(source.Parameter, source, type);

    /// <inheritdoc />
    protected override Tensor Forward(autograd.AutogradContext context, object[] inputs)
    {
        var source = (IWeightSource)inputs[1];
        context.save_data("source", source);
        return source.Gather((ScalarType)inputs[2]);
    }

    /// <inheritdoc />
    protected override List<Tensor?> Backward(autograd.AutogradContext context, Tensor gradient) =>
        [((IWeightSource)context.get_data("source")).ReduceGradient(gradient), null, null];
}
