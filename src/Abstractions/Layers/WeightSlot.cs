using TorchSharp.Modules;

namespace Titan.Abstractions;

/// <summary>A weight of a layer, of any rank: its name, and where it comes from, which a parallelism replaces by <see cref="ModelParameters.SetWeight(TorchSharp.torch.nn.Module, WeightSlot, IWeightSource)"/>.</summary>
/// <param name="name">The parameter's name in the layer: <c>weight</c>, <c>bias</c>, <c>w1</c>.</param>
/// <param name="source">Where it comes from.</param>
public sealed class WeightSlot(string name, IWeightSource source)
{
    /// <summary>A slot for a parameter that lies in the layer itself.</summary>
    public WeightSlot(string name, Parameter parameter) : this(name, new ParameterSource(parameter)) { }

    /// <summary>The parameter's name in the layer.</summary>
    public string Name => name;

    /// <summary>Whether the layer computes in fp32 whatever its input, so that a parallelism does not round the weight where it travels.</summary>
    public bool TravelsWhole { get; set; }

    /// <summary>Where the weight comes from.</summary>
    public IWeightSource Source { get; set; } = source;
}
