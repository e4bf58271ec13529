using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>A fused, differentiable form of <see cref="RmsNorm"/>. Tensors are made in the caller's dispose scope.</summary>
public interface INormKernel
{
    /// <summary>y = x / sqrt(mean(x²) + eps) · w over the last dimension.</summary>
    /// <param name="x">[..., D].</param>
    /// <param name="weight">[D] of x's dtype.</param>
    /// <param name="epsilon">Added to the mean square.</param>
    /// <param name="wantsAmax">Whether a reader of y looks for its amax.</param>
    Activation Normalize(Tensor x, Tensor weight, double epsilon, bool wantsAmax);

    /// <summary>sum = x + addend, and y of the sum.</summary>
    /// <param name="x">[..., D].</param>
    /// <param name="addend">As x; its note is told what is known of the gradient of the sum, which is the addend's too.</param>
    /// <param name="weight">[D] of x's dtype.</param>
    /// <param name="epsilon">Added to the mean square.</param>
    /// <param name="wantsAmax">Whether a reader of y looks for its amax.</param>
    (Tensor Sum, Activation Normed) NormalizeSum(Tensor x, Activation addend, Tensor weight, double epsilon, bool wantsAmax);
}
