using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>
/// A linear layer, Y = X · Wᵀ + b. It computes in the dtype of its input, whatever dtype the parameters have (fp32 master weights, bf16 compute).
/// </summary>
public sealed class Linear : nn.Module<Tensor, Tensor>, ILinear, IKernelUser
{
    private Parameter? bias;

    /// <summary>Creates the layer with uninitialised parameters.</summary>
    /// <param name="inFeatures">K.</param>
    /// <param name="outFeatures">N.</param>
    /// <param name="hasBias">Whether there is a bias [N].</param>
    /// <param name="device">Where; <c>meta</c> allocates nothing.</param>
    /// <param name="type">Dtype of the parameters.</param>
    public Linear(long inFeatures, long outFeatures, bool hasBias = false, Device? device = null, ScalarType type = ScalarType.Float32) : base(nameof(Linear))
    {
        Shape = new LinearShape(inFeatures, outFeatures);
        var weight = new Parameter(empty(outFeatures, inFeatures, dtype: type, device: device));
        register_parameter("weight", weight);
        if (hasBias)
        {
            bias = new Parameter(empty(outFeatures, dtype: type, device: device));
            register_parameter("bias", bias);
        }

        Weight = new ParameterSource(weight);
        LocalShape = Shape;
    }

    /// <inheritdoc />
    public LinearShape Shape { get; }

    /// <inheritdoc />
    public LinearShape LocalShape { get; private set; }

    /// <inheritdoc />
    public IWeightSource Weight { get; set; }

    /// <inheritdoc />
    public Parameter? Bias => bias;

    /// <inheritdoc />
    public IModelKernels Kernels { get; set; } = PlainModelKernels.Instance;

    /// <inheritdoc />
    public void ReplaceBias(Parameter bias) => this.bias = bias;

    /// <inheritdoc />
    public void Narrow(LinearShape local) => LocalShape = local;

    /// <inheritdoc />
    /// <param name="x">[..., K].</param>
    /// <returns>[..., N], of x's dtype.</returns>
    public override Tensor forward(Tensor x)
    {
        var y = LinearFunction.Multiply(x, Weight, Kernels.Multiply);
        if (bias is null) return y;
        using (y)
        using (var b = bias.to(y.dtype)) return y + b;
    }
}
