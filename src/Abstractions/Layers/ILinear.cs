using TorchSharp.Modules;

namespace Titan.Abstractions;

/// <summary>What a converter and a parallelism need to know of a linear layer, plain or converted.</summary>
public interface ILinear : IWeightedLayer
{
    /// <summary>K and N of the whole weight.</summary>
    LinearShape Shape { get; }

    /// <summary>The bias [N], or null.</summary>
    Parameter? Bias { get; }

    /// <summary>How the weight travels between ranks; null for a layer whose weight travels in the compute dtype.</summary>
    IShardCodec? WeightCodec => null;

    /// <summary>Gives the layer another bias of the same shape.</summary>
    void ReplaceBias(Parameter bias) => throw new TitanException(ExitCode.Plugin, $"layer {this} has a bias and no way to replace it; implement ILinear.ReplaceBias");
}
