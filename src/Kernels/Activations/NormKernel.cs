using Titan.Abstractions;
using Titan.Kernels.Fused;
using static TorchSharp.torch;

namespace Titan.Kernels.Activations;

/// <summary><see cref="FusedRmsNorm"/> as the layer of the contract sees it.</summary>
public sealed class NormKernel : INormKernel
{
    private NormKernel() { }

    /// <summary>The one there is.</summary>
    public static NormKernel Instance { get; } = new();

    /// <inheritdoc />
    public Activation Normalize(Tensor x, Tensor weight, double epsilon, bool wantsAmax)
    {
        var (y, amax) = FusedRmsNorm.Normalize(x, weight, epsilon, wantsAmax, offer: null);
        return new Activation(y, amax);
    }

    /// <inheritdoc />
    public (Tensor Sum, Activation Normed) NormalizeSum(Tensor x, Activation addend, Tensor weight, double epsilon, bool wantsAmax)
    {
        var (y, sum, amax) = FusedRmsNorm.NormalizeSum(x, addend.Values, weight, epsilon, wantsAmax, KnownGradient.Offer(addend));
        return (sum, new Activation(y, amax));
    }
}
