using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>Layer normalisation over the last dimension (Ba et al., 2016): y = (x - mean) / sqrt(variance + eps) · w + b, computed in fp32.</summary>
public sealed class LayerNorm : nn.Module<Tensor, Tensor>, IWeightedLayer, INorm
{
    private readonly long dimension;
    private readonly double epsilon;
    private readonly WeightSlot weight;
    private readonly WeightSlot bias;

    /// <summary>Creates the layer with uninitialised weight and bias, both [D].</summary>
    /// <param name="dimension">D.</param>
    /// <param name="epsilon">Added to the variance.</param>
    /// <param name="device">Where; <c>meta</c> allocates nothing.</param>
    /// <param name="type">Dtype of the parameters.</param>
    public LayerNorm(long dimension, double epsilon = 1e-5, Device? device = null, ScalarType type = ScalarType.Float32) : base(nameof(LayerNorm))
    {
        (this.dimension, this.epsilon) = (dimension, epsilon);
        weight = Register("weight");
        bias = Register("bias");

        WeightSlot Register(string name)
        {
            var parameter = new Parameter(empty(dimension, dtype: type, device: device));
            register_parameter(name, parameter);
            return new WeightSlot(name, parameter);
        }
    }

    /// <inheritdoc />
    public IReadOnlyList<WeightSlot> Weights => [weight, bias];

    /// <inheritdoc />
    /// <param name="x">[..., D].</param>
    /// <returns>[..., D], of x's dtype.</returns>
    public override Tensor forward(Tensor x)
    {
        using var normed = Forward(x, wantsAmax: false);
        return normed.Values;
    }

    /// <inheritdoc />
    public Activation Forward(Tensor x, bool wantsAmax)
    {
        using var scope = NewDisposeScope();
        return new Activation(Normalize(x).MoveToOuterDisposeScope());
    }

    /// <inheritdoc />
    public (Tensor Sum, Activation Normed) ForwardSum(Tensor x, Activation addend, bool wantsAmax)
    {
        using var scope = NewDisposeScope();
        var sum = x + addend.Values;
        return (sum.MoveToOuterDisposeScope(), new Activation(Normalize(sum).MoveToOuterDisposeScope()));
    }

    private Tensor Normalize(Tensor x)
    {
        // As RmsNorm: parameters are rounded to the compute dtype first, then everything stays fp32 until the end.
        var w = GatherFunction.Weight(weight.Source, x.dtype).to(ScalarType.Float32);
        var b = GatherFunction.Weight(bias.Source, x.dtype).to(ScalarType.Float32);
        return nn.functional.layer_norm(x.to(ScalarType.Float32), [dimension], w, b, epsilon).to(x.dtype);
    }
}
