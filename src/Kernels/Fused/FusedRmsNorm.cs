using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Kernels.ModelOps;
using static TorchSharp.torch;

namespace Titan.Kernels.Fused;

/// <summary>
/// <see cref="RmsNormKernel"/> with gradients. Shapes x [..., D], w [D] of x's dtype. Kept for backward: x (or the sum), w and r, one number a row. What is neither on the
/// CPU nor a GPU, or in fp16, goes by ATen's operations.
/// </summary>
public sealed class FusedRmsNorm : GuardedMultiFunction
{
    private readonly double epsilon;
    private readonly bool wantsAmax;
    private readonly GradientAmax? offer;
    private Tensor? amax;

    private FusedRmsNorm(double epsilon, bool wantsAmax, GradientAmax? offer) => (this.epsilon, this.wantsAmax, this.offer) = (epsilon, wantsAmax, offer);

    /// <summary>Normalises x.</summary>
    public static Tensor Normalize(Tensor x, Tensor weight, double epsilon) => Normalize(x, weight, epsilon, wantsAmax: false, null).Y;

    /// <summary>The same, with the magnitudes whose maximum is the amax of the result.</summary>
    /// <param name="x">[..., D].</param>
    /// <param name="weight">[D] of x's dtype.</param>
    /// <param name="epsilon">Added to the mean square.</param>
    /// <param name="wantsAmax">Whether they are wanted; they are null otherwise, and where ATen computes.</param>
    /// <param name="offer">Told those of x's gradient in backward; null where nobody asks.</param>
    public static (Tensor Y, Tensor? Amax) Normalize(Tensor x, Tensor weight, double epsilon, bool wantsAmax, GradientAmax? offer)
    {
        Check(x, weight);
        if (!RmsNormKernel.Covers(x) || x.numel() == 0) return (AtenGateway.RmsNorm(x, weight, epsilon), null);
        var call = new FusedRmsNorm(epsilon, wantsAmax, offer);
        var y = call.Apply(x, weight)[0];
        return (y, call.amax);
    }

    /// <summary>Normalises x + residual, and gives the sum as well.</summary>
    /// <param name="x">[..., D].</param>
    /// <param name="residual">As x.</param>
    /// <param name="weight">[D] of x's dtype.</param>
    /// <param name="epsilon">Added to the mean square.</param>
    /// <param name="wantsAmax">Whether the magnitudes of the result are wanted; they are null otherwise, and where ATen computes.</param>
    /// <param name="offer">Told those of the sum's whole gradient in backward; null where nobody asks.</param>
    public static (Tensor Y, Tensor Sum, Tensor? Amax) NormalizeSum(
        Tensor x, Tensor residual, Tensor weight, double epsilon, bool wantsAmax = false, GradientAmax? offer = null)
    {
        Check(x, weight);
        if (!x.Sizes().SequenceEqual(residual.Sizes()) || x.dtype != residual.dtype)
            throw new ArgumentException($"rms_norm: x {x.dtype} [{string.Join(", ", x.shape)}] and residual {residual.dtype} [{string.Join(", ", residual.shape)}]; expected two of one shape and dtype");
        if (!RmsNormKernel.Covers(x) || x.numel() == 0)
        {
            var plain = x + residual;
            return (AtenGateway.RmsNorm(plain, weight, epsilon), plain, null);
        }

        var call = new FusedRmsNorm(epsilon, wantsAmax, offer);
        var outputs = call.Apply(x, weight, residual);
        return (outputs[0], outputs[1], call.amax);
    }

    /// <inheritdoc />
    protected override Tensor[] Forward(Tensor[] inputs)
    {
        Tensor x = inputs[0].contiguous(), weight = inputs[1].contiguous();
        var result = RmsNormKernel.Forward(x, inputs.Length > 2 ? inputs[2] : null, weight, epsilon, wantsAmax);
        SaveForBackward(result.Sum ?? x, weight, result.Rstd);
        amax = result.Amax?.MoveToOuterDisposeScope();
        return result.Sum is null ? [result.Y] : [result.Y, result.Sum];
    }

    /// <inheritdoc />
    protected override Tensor?[] Backward(Tensor?[] gradients)
    {
        var past = gradients.Length > 1 ? gradients[1] : null;
        // The norm did not reach the loss: the sum's gradient is all there is.
        if (gradients[0] is not { } gradient) return [past, null, past?.alias()];
        var result = RmsNormKernel.Backward(gradient, Saved(0), Saved(1), Saved(2), past, offer is not null);
        offer?.Invoke(result.X, result.Amax!);
        // Both terms of the sum have its gradient, each under a handle of its own.
        return gradients.Length > 1 ? [result.X, result.Weight, result.X.alias()] : [result.X, result.Weight];
    }

    private static void Check(Tensor x, Tensor weight)
    {
        if (x.dim() == 0 || weight.dim() != 1 || weight.Sizes()[0] != x.Sizes()[^1] || weight.dtype != x.dtype)
            throw new ArgumentException($"rms_norm: weight {weight.dtype} [{string.Join(", ", weight.shape)}] does not fit x {x.dtype} [{string.Join(", ", x.shape)}]; expected [D] of x's dtype");
    }
}
