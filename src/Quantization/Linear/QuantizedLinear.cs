using TorchSharp.Modules;
using Titan.Abstractions;
using Titan.Kernels.Aten;
using static TorchSharp.torch;

namespace Titan.Quantization.Linear;

/// <summary>
/// A linear layer that executes a recipe. It takes over the parameters of the layer that it replaces, under the same names: the master weight stays in high precision,
/// is cast directly from it, and checkpoints do not change.
/// </summary>
public sealed class QuantizedLinear : nn.Module<Tensor, Tensor>, ILinear, IActivationLayer
{
    private readonly LinearEngine engine;
    private readonly WeightWire? wire;

    /// <summary>Replaces <paramref name="layer"/>, whose parameters it takes over.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="engine">What executes the recipe.</param>
    /// <param name="fqn">The layer's fully qualified name, under which its casts are measured.</param>
    /// <param name="wire">How the weight travels in float8; null for the compute dtype.</param>
    public QuantizedLinear(ILinear layer, LinearEngine engine, string fqn = "linear", WeightWire? wire = null) : base("Float8Linear")
    {
        (Shape, Weights, this.engine, Fqn, this.wire) = (layer.Shape, [.. layer.Weights.Select(w => new WeightSlot(w.Name, w.Source))], engine, fqn, wire);
        Narrow(layer.LocalShape);
        foreach (var weight in Weights) register_parameter(weight.Name, weight.Source.Parameter);
    }

    /// <inheritdoc />
    public LinearShape Shape { get; }

    /// <inheritdoc />
    public IReadOnlyList<WeightSlot> Weights { get; }

    /// <inheritdoc />
    public IWeightSource Weight
    {
        get => Weights[0].Source;
        set => Weights[0].Source = value;
    }

    /// <inheritdoc />
    public IWeightSource? Bias => Weights.FirstOrDefault(w => w.Name == "bias")?.Source;

    /// <summary>The layer's fully qualified name.</summary>
    internal string Fqn { get; }

    /// <summary>Whether the input is split over ranks as the weight is.</summary>
    internal bool SplitsInput => LocalShape.K != Shape.K;

    /// <summary>Whether the weight that the layer multiplies with lies here as it is, not gathered on use.</summary>
    internal bool HasResidentWeight => Weight.HoldsAll(LocalShape.K * LocalShape.N);

    /// <summary>Whether the amax of what lies here of the weight is asked for after each optimizer step.</summary>
    internal bool WantsWeightAmax => engine.WantsWeightAmax;

    /// <summary>Whether the output is split over ranks as the weight is.</summary>
    internal bool SplitsOutput => LocalShape.N != Shape.N;

    /// <summary>What its matmuls do with their operands.</summary>
    public LinearRecipe Recipe => engine.Recipe;

    /// <inheritdoc />
    public LinearShape LocalShape { get; private set; }

    /// <inheritdoc />
    public int RequiredMultiple => engine.Recipe.RequiredMultiple;

    /// <inheritdoc />
    public IShardCodec? WeightCodec { get; private set; }

    /// <inheritdoc />
    public IActivationCodec InputCodec => engine.InputCodec;

    /// <inheritdoc />
    public IActivationCodec GradientCodec => engine.GradientCodec;

    /// <inheritdoc />
    public void Narrow(LinearShape local)
    {
        LocalShape = local;
        WeightCodec = wire is null ? null : ShardCodec.For(engine, local, wire);
    }

    /// <inheritdoc />
    /// <param name="x">[..., K].</param>
    /// <returns>[..., N], of x's dtype.</returns>
    public override Tensor forward(Tensor x)
    {
        using var input = new Activation(x);
        return Forward(input).Values;
    }

    /// <inheritdoc />
    public bool WantsInputAmax => engine.WantsInputAmax;

    /// <inheritdoc />
    public Activation Forward(Activation x)
    {
        var shape = x.Values.Sizes();
        if (shape.Length < 1 || shape[^1] != LocalShape.K) throw new ArgumentException($"{this}: input [{string.Join(", ", x.Values.shape)}]; expected [..., {LocalShape.K}]");
        var note = new GradientNote(engine.WantsGradientAmax);
        var y = QuantizedLinearFunction.Multiply(x, this, engine, note);
        if (Bias is not { } source) return new Activation(y, gradient: note);
        using (y)
        using (var b = GatherFunction.Weight(source, y.dtype)) return new Activation(y + b, gradient: note);
    }

    /// <inheritdoc />
    public override string ToString() => $"Float8Linear({Shape}, {engine.Recipe})";
}
