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

    /// <summary>Which part of the model's weight <see cref="Parameter"/> is.</summary>
    ShardLayout Layout => ShardLayout.Whole(Parameter.shape);

    /// <summary>Number of ranks that hold this same part, so that norms over all ranks count it once.</summary>
    int Replicas => 1;

    /// <summary>Whether another layer reads the weight too, early and late in forward: a parallelism that gathers it keeps it in between.</summary>
    bool IsTied => false;

    /// <summary>Whether <see cref="Parameter"/> is all that the layer multiplies with, so that a cast of it may be kept; else it is gathered on use, and let go.</summary>
    /// <param name="elements">How many the layer multiplies with.</param>
    bool HoldsAll(long elements) => Parameter.numel() == elements;

    /// <summary>The weight that the layer multiplies with, in <paramref name="type"/>.</summary>
    /// <returns>A tensor that the caller may dispose; it must not be written to.</returns>
    Tensor Gather(ScalarType type);

    /// <summary>The weight as the layer's <see cref="ILinear.WeightCodec"/> decoded it; null where it does not travel encoded.</summary>
    /// <returns>Owned by the source and valid until it is asked again: take what is needed at once.</returns>
    IDisposable? GatherEncoded(WeightUse use) => null;

    /// <summary>Whether <see cref="GatherEncoded"/> gives the weight.</summary>
    bool IsEncoded => false;

    /// <summary>Turns the gradient of the gathered weight into that of <see cref="Parameter"/>.</summary>
    /// <param name="gradient">The gradient of the gathered weight; owned by the caller.</param>
    /// <returns>The gradient; null where the source delivers it itself before the optimizer steps.</returns>
    Tensor? ReduceGradient(Tensor gradient);

    /// <summary>
    /// The ranks that multiply with the other parts of the weight; null where this is all of it. A cast with one scale for the whole tensor needs the largest magnitude over
    /// them: of the weight, and of the activations that are split as it is.
    /// </summary>
    IProcessGroup? PartsGroup => null;

    /// <summary>The largest magnitudes over <see cref="PartsGroup"/>.</summary>
    /// <param name="amax">Those of the parts here, of any shape; owned by the caller.</param>
    Tensor ReduceAmax(Tensor amax)
    {
        if (PartsGroup is not { } group) return amax.alias();
        using var none = no_grad();
        var all = amax.clone();
        group.AllReduce(all, ReduceOperation.Max);
        return all;
    }

    /// <summary>The same source over another parameter of the same shape, as when one on the meta device gets memory. It may not keep this one's parameter, which is disposed of then.</summary>
    IWeightSource Over(Parameter parameter) => new ParameterSource(parameter, Layout, Replicas);
}

/// <summary>The plain case: the layer multiplies with the parameter itself.</summary>
/// <param name="parameter">The parameter.</param>
/// <param name="layout">Which part of the model's weight it is; null for all of it.</param>
/// <param name="replicas">Number of ranks that hold this same part.</param>
public sealed class ParameterSource(Parameter parameter, ShardLayout? layout = null, int replicas = 1) : IWeightSource
{
    /// <inheritdoc />
    public Parameter Parameter => parameter;

    /// <inheritdoc />
    public ShardLayout Layout { get; } = layout ?? ShardLayout.Whole(parameter.shape);

    /// <inheritdoc />
    public int Replicas => replicas;

    /// <inheritdoc />
    public Tensor Gather(ScalarType type)
    {
        using var none = no_grad();
        return parameter.dtype == type ? parameter.alias() : parameter.to(type);
    }

    /// <inheritdoc />
    public Tensor ReduceGradient(Tensor gradient) => gradient.alias();
}
