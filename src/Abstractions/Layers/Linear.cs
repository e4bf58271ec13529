using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>
/// A linear layer, Y = X · Wᵀ + b. It computes in the dtype of its input, whatever dtype the parameters have (fp32 master weights, bf16 compute).
/// </summary>
public sealed class Linear : nn.Module<Tensor, Tensor>, ILinear, IKernelUser
{
    private readonly WeightSlot weight;
    private readonly WeightSlot? bias;

    /// <summary>Creates the layer with uninitialised parameters.</summary>
    /// <param name="inFeatures">K.</param>
    /// <param name="outFeatures">N.</param>
    /// <param name="hasBias">Whether there is a bias [N].</param>
    /// <param name="device">Where; <c>meta</c> allocates nothing.</param>
    /// <param name="type">Dtype of the parameters.</param>
    public Linear(long inFeatures, long outFeatures, bool hasBias = false, Device? device = null, ScalarType type = ScalarType.Float32) : base(nameof(Linear))
    {
        Shape = new LinearShape(inFeatures, outFeatures);
        weight = Register("weight", outFeatures, inFeatures);
        if (hasBias) bias = Register("bias", outFeatures);
        LocalShape = Shape;

        WeightSlot Register(string name, params long[] shape)
        {
            var parameter = new Parameter(empty(shape, dtype: type, device: device));
            register_parameter(name, parameter);
            return new WeightSlot(name, parameter);
        }
    }

    /// <inheritdoc />
    public LinearShape Shape { get; }

    /// <inheritdoc />
    public LinearShape LocalShape { get; private set; }

    /// <inheritdoc />
    public IReadOnlyList<WeightSlot> Weights => bias is null ? [weight] : [weight, bias];

    /// <inheritdoc />
    public IWeightSource Weight
    {
        get => weight.Source;
        set => weight.Source = value;
    }

    /// <inheritdoc />
    public IWeightSource? Bias => bias?.Source;

    /// <inheritdoc />
    public IModelKernels Kernels { get; set; } = PlainModelKernels.Instance;

    /// <inheritdoc />
    public void Narrow(LinearShape local) => LocalShape = local;

    /// <summary>X · Wᵀ for a weight that some other layer owns; differentiable.</summary>
    /// <param name="x">[..., K].</param>
    /// <param name="weight">[N, K]; asked for in forward and again in backward.</param>
    /// <param name="kernels">What multiplies.</param>
    /// <returns>[..., N], of x's dtype.</returns>
    public static Tensor Multiply(Tensor x, IWeightSource weight, IModelKernels kernels) => LinearFunction.Multiply(x, weight, kernels.Multiply);

    /// <inheritdoc />
    /// <param name="x">[..., K].</param>
    /// <returns>[..., N], of x's dtype.</returns>
    public override Tensor forward(Tensor x)
    {
        var y = Multiply(x, Weight, Kernels);
        if (Bias is not { } source) return y;
        using (y)
        using (var b = GatherFunction.Weight(source, y.dtype)) return y + b;
    }
}
