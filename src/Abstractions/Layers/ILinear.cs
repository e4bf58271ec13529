namespace Titan.Abstractions;

/// <summary>What a converter and a parallelism need to know of a linear layer, plain or converted.</summary>
public interface ILinear : IWeightedLayer
{
    /// <summary>K and N of the whole weight.</summary>
    LinearShape Shape { get; }

    /// <summary>Where the bias [N] comes from, the weight called <c>bias</c>; null for none.</summary>
    IWeightSource? Bias => Weights.FirstOrDefault(w => w.Name == "bias")?.Source;

    /// <summary>How the weight travels between ranks; null for a layer whose weight travels in the compute dtype.</summary>
    IShardCodec? WeightCodec => null;

    /// <summary>K and N of the part that this layer multiplies with; <see cref="Shape"/> unless <see cref="Narrow"/> was called.</summary>
    LinearShape LocalShape => Shape;

    /// <summary>K and N of a part must be multiples of this.</summary>
    int RequiredMultiple => 1;

    /// <summary>How the input travels between ranks that hold parts of the sequence; null for a layer that takes it in the compute dtype.</summary>
    IActivationCodec? InputCodec => null;

    /// <summary>How the gradient of the output travels in the same case; null for the compute dtype.</summary>
    IActivationCodec? GradientCodec => null;

    /// <summary>Tells the layer that its weight is a part of the whole (tensor parallel). The layer's input, its output's gradient and its weight then have one scale over
    /// all ranks where they have one scale at all: <see cref="IWeightSource.ReduceAmax"/>.</summary>
    /// <param name="local">K and N of the part.</param>
    void Narrow(LinearShape local) => throw new TitanException(ExitCode.Plugin, $"layer {this} cannot work on a part of its weight; implement ILinear.Narrow");
}
