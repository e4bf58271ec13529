using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>
/// How the layers of a model compute what is not a recipe's: plain ATen operations, or kernels that fuse several and find on their way what readers ask for. The host chooses
/// one for all layers of a run, by <c>compile.enable</c> and the device. All operations are differentiable but <see cref="Multiply"/> and <see cref="GroupedMultiply"/>; tensors are made in the caller's dispose scope.
/// </summary>
public interface IModelKernels
{
    /// <summary>Name for reports.</summary>
    string Name { get; }

    /// <summary>left · right in high precision, as <see cref="MatrixProduct"/> says; not differentiable.</summary>
    Tensor Multiply(Tensor left, Tensor right, bool wide = false);

    /// <summary>left · right group by group in high precision, as <see cref="GroupedProduct"/> says; not differentiable.</summary>
    Tensor GroupedMultiply(Tensor left, Tensor right, RowGroups groups, bool wide = false);

    /// <summary>y = x / sqrt(mean(x²) + eps) · w over the last dimension, in fp32.</summary>
    /// <param name="x">[..., D].</param>
    /// <param name="weight">[D] of x's dtype.</param>
    /// <param name="epsilon">Added to the mean square.</param>
    /// <param name="wantsAmax">Whether a reader of y looks for its amax.</param>
    Activation RmsNorm(Tensor x, Tensor weight, double epsilon, bool wantsAmax);

    /// <summary>sum = x + addend, and <see cref="RmsNorm"/> of the sum.</summary>
    /// <param name="x">[..., D].</param>
    /// <param name="addend">As x; its note is told what is known of the gradient of the sum, which is the addend's too.</param>
    /// <param name="weight">[D] of x's dtype.</param>
    /// <param name="epsilon">Added to the mean square.</param>
    /// <param name="wantsAmax">Whether a reader of y looks for its amax.</param>
    (Tensor Sum, Activation Normed) AddRmsNorm(Tensor x, Activation addend, Tensor weight, double epsilon, bool wantsAmax);

    /// <summary>silu(gate) · up.</summary>
    /// <param name="gate">[...]; its note is told what is known of its gradient.</param>
    /// <param name="up">As gate.</param>
    /// <param name="wantsAmax">Whether a reader of the product looks for its amax.</param>
    Activation SwiGlu(Activation gate, Activation up, bool wantsAmax);

    /// <summary>Rotates the heads of a projection by the angles of their positions, in fp32.</summary>
    /// <param name="projected">[B, S, H · D]; its note is told what is known of its gradient.</param>
    /// <param name="heads">The same values as [B, S, H, D].</param>
    /// <param name="angles">The angles.</param>
    /// <returns>[B, S, H, D] of the heads' dtype.</returns>
    Tensor Rotate(Activation projected, Tensor heads, RotaryAngles angles);

    /// <summary>softmax(q · kᵀ / sqrt(D)) · v, where each run of H / KV heads of q shares a head of k and v.</summary>
    /// <param name="q">[B, H, S, D].</param>
    /// <param name="k">[B, KV, S, D].</param>
    /// <param name="v">[B, KV, S, D].</param>
    /// <param name="mask">[B or 1, 1, S, S] bool, true where a query may look; null for no mask of its own.</param>
    /// <param name="causal">Whether a query sees no later key; only without a mask.</param>
    /// <returns>[B, H, S, D].</returns>
    Tensor Attend(Tensor q, Tensor k, Tensor v, Tensor? mask, bool causal);
}

/// <summary>A module that computes by the kernels of the run.</summary>
public interface IKernelUser
{
    /// <summary>The kernels; plain until others are put here.</summary>
    IModelKernels Kernels { get; set; }
}
