using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>
/// Where a layer takes its weight from: the parameter itself, or what a parallelism put in its place (sharded, gathered on use). Forward and backward each ask,
/// so that nothing gathered is kept between them.
/// </summary>
public interface IWeightSource
{
    /// <summary>What the optimizer owns and a checkpoint stores: the whole weight, or this rank's shard of it.</summary>
    Parameter Parameter { get; }

    /// <summary>The whole weight in <paramref name="type"/>.</summary>
    /// <returns>A tensor that the caller may dispose; it must not be written to.</returns>
    Tensor Gather(ScalarType type);

    /// <summary>Turns the gradient of the whole weight into that of <see cref="Parameter"/>.</summary>
    /// <param name="gradient">The gradient of the whole weight; owned by the caller.</param>
    Tensor ReduceGradient(Tensor gradient);
}

/// <summary>The plain case: the parameter is the whole weight.</summary>
/// <param name="parameter">The parameter.</param>
public sealed class ParameterSource(Parameter parameter) : IWeightSource
{
    /// <inheritdoc />
    public Parameter Parameter => parameter;

    /// <inheritdoc />
    public Tensor Gather(ScalarType type)
    {
        using var none = no_grad();
        return parameter.dtype == type ? parameter.alias() : parameter.to(type);
    }

    /// <inheritdoc />
    public Tensor ReduceGradient(Tensor gradient) => gradient.alias();
}
