using Titan.Abstractions;
using Titan.Quantization.Linear;
using static TorchSharp.torch;

namespace Titan.Quantization.Grouped;

/// <summary>The matmuls of a layer of experts by a recipe. The weights stay plain parameters in high precision, so checkpoints do not change.</summary>
/// <param name="engine">What executes the recipe.</param>
/// <param name="layer">Whose weights it multiplies with, for their names.</param>
/// <param name="fqn">The layer's fully qualified name.</param>
/// <param name="rowCodec">How rows travel to other ranks; null for the compute dtype.</param>
/// <param name="gradientCodec">How gradients of results do.</param>
internal sealed class QuantizedGroupedMatmul(GroupedEngine engine, IGroupedLayer layer, string fqn, IActivationCodec? rowCodec = null, IActivationCodec? gradientCodec = null) : IGroupedMatmul
{
    public string Name => $"{engine.Linear.Name}: {engine.Recipe}";

    public int RowMultiple => engine.RequiredMultiple;

    public int RequiredMultiple => engine.RequiredMultiple;

    public IActivationCodec? RowCodec => rowCodec;

    public IActivationCodec? GradientCodec => gradientCodec;

    public Tensor Multiply(Activation rows, RowGroups groups, IWeightSource weight)
    {
        if (rows.Values.dim() != 2) throw new ArgumentException($"{fqn}: rows [{string.Join(", ", rows.Values.shape)}]; expected [M, K]");
        groups.Check(rows.Values.shape[0], RowMultiple);
        var name = layer.Weights.FirstOrDefault(w => ReferenceEquals(w.Source, weight))?.Name ?? "weight";
        return QuantizedGroupedFunction.Multiply(rows, groups, weight, engine, $"{fqn}.{name}");
    }
}
