using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>Root-mean-square normalisation over the last dimension (Zhang and Sennrich, 2019): y = x / sqrt(mean(x²) + eps) · w, computed in fp32.</summary>
public sealed class RmsNorm : nn.Module<Tensor, Tensor>, IWeightedLayer, INorm, IKernelUser
{
    private readonly double epsilon;
    private readonly WeightSlot weight;

    /// <summary>Creates the layer with uninitialised weight [D].</summary>
    /// <param name="dimension">D.</param>
    /// <param name="epsilon">Added to the mean square.</param>
    /// <param name="device">Where; <c>meta</c> allocates nothing.</param>
    /// <param name="type">Dtype of the parameter.</param>
    public RmsNorm(long dimension, double epsilon = 1e-5, Device? device = null, ScalarType type = ScalarType.Float32) : base(nameof(RmsNorm))
    {
        this.epsilon = epsilon;
        var parameter = new Parameter(empty(dimension, dtype: type, device: device));
        register_parameter("weight", parameter);
        weight = new WeightSlot("weight", parameter);
    }

    /// <summary>Where the weight comes from; a parallelism puts its own here.</summary>
    public IWeightSource Weight
    {
        get => weight.Source;
        set => weight.Source = value;
    }

    /// <inheritdoc />
    public IReadOnlyList<WeightSlot> Weights => [weight];

    /// <inheritdoc />
    public IModelKernels Kernels { get; set; } = PlainModelKernels.Instance;

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
        var normed = Kernels.RmsNorm(x, GatherFunction.Weight(Weight, x.dtype), epsilon, wantsAmax);
        normed.Values.MoveToOuterDisposeScope();
        return normed;
    }

    /// <inheritdoc />
    public (Tensor Sum, Activation Normed) ForwardSum(Tensor x, Activation addend, bool wantsAmax)
    {
        using var scope = NewDisposeScope();
        var (sum, normed) = Kernels.AddRmsNorm(x, addend, GatherFunction.Weight(Weight, x.dtype), epsilon, wantsAmax);
        normed.Values.MoveToOuterDisposeScope();
        return (sum.MoveToOuterDisposeScope(), normed);
    }
}
