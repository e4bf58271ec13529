using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>Root-mean-square normalisation over the last dimension (Zhang and Sennrich, 2019): y = x / sqrt(mean(x²) + eps) · w, computed in fp32.</summary>
public sealed class RmsNorm : nn.Module<Tensor, Tensor>, IWeightedLayer
{
    private readonly double epsilon;

    /// <summary>Creates the layer with uninitialised weight [D].</summary>
    /// <param name="dimension">D.</param>
    /// <param name="epsilon">Added to the mean square.</param>
    /// <param name="device">Where; <c>meta</c> allocates nothing.</param>
    /// <param name="type">Dtype of the parameter.</param>
    public RmsNorm(long dimension, double epsilon = 1e-5, Device? device = null, ScalarType type = ScalarType.Float32) : base(nameof(RmsNorm))
    {
        this.epsilon = epsilon;
        var weight = new Parameter(empty(dimension, dtype: type, device: device));
        register_parameter("weight", weight);
        Weight = new ParameterSource(weight);
    }

    /// <summary>Where the weight comes from; a parallelism puts its own here.</summary>
    public IWeightSource Weight { get; set; }

    /// <summary>A fused kernel that replaces the plain ATen operations; null for the plain ones.</summary>
    public INormKernel? Kernel { get; set; }

    /// <inheritdoc />
    /// <param name="x">[..., D].</param>
    /// <returns>[..., D], of x's dtype.</returns>
    public override Tensor forward(Tensor x)
    {
        using var normed = Forward(x, wantsAmax: false);
        return normed.Values;
    }

    /// <summary>Normalises x [..., D].</summary>
    /// <param name="x">[..., D].</param>
    /// <param name="wantsAmax">Whether a reader of the result looks for its amax.</param>
    public Activation Forward(Tensor x, bool wantsAmax)
    {
        using var scope = NewDisposeScope();
        var normed = Kernel is { } fused ? fused.Normalize(x, GatherFunction.Weight(Weight, x.dtype), epsilon, wantsAmax) : new Activation(Plain(x));
        normed.Values.MoveToOuterDisposeScope();
        return normed;
    }

    /// <summary>Adds to the residual stream, and normalises the sum.</summary>
    /// <param name="x">The residual stream [..., D].</param>
    /// <param name="addend">What is added to it [..., D]; its note is told what is known of the gradient.</param>
    /// <param name="wantsAmax">Whether a reader of the result looks for its amax.</param>
    /// <returns>The sum in x's dtype, and the sum normalised.</returns>
    public (Tensor Sum, Activation Normed) ForwardSum(Tensor x, Activation addend, bool wantsAmax)
    {
        using var scope = NewDisposeScope();
        var (sum, normed) = Kernel is { } fused ? fused.NormalizeSum(x, addend, GatherFunction.Weight(Weight, x.dtype), epsilon, wantsAmax) : PlainSum(x, addend.Values);
        normed.Values.MoveToOuterDisposeScope();
        return (sum.MoveToOuterDisposeScope(), normed);
    }

    private (Tensor Sum, Activation Normed) PlainSum(Tensor x, Tensor addend)
    {
        var sum = x + addend;
        return (sum, new Activation(Plain(sum)));
    }

    private Tensor Plain(Tensor x)
    {
        var wide = x.to(ScalarType.Float32);
        var scale = wide.square().mean([-1], keepdim: true).add(epsilon).rsqrt();
        // The weight is rounded to the compute dtype first, as upstream's mixed precision does, then everything stays fp32 until the end.
        var w = GatherFunction.Weight(Weight, x.dtype);
        return (wide * scale * w).to(x.dtype);
    }
}
