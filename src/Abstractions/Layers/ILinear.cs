using TorchSharp.Modules;

namespace Titan.Abstractions;

/// <summary>What a converter and a parallelism need to know of a linear layer, plain or converted.</summary>
public interface ILinear
{
    /// <summary>K and N of the whole weight.</summary>
    LinearShape Shape { get; }

    /// <summary>Where the weight [N, K] comes from; a parallelism puts its own here.</summary>
    IWeightSource Weight { get; set; }

    /// <summary>The bias [N], or null.</summary>
    Parameter? Bias { get; }
}
