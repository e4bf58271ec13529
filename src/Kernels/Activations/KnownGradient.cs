using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Kernels.ModelOps;
using static TorchSharp.torch;

namespace Titan.Kernels.Activations;

/// <summary>
/// Writes and reads a <see cref="GradientNote"/>. Autograd hands a gradient on under another handle, or as the sum of several: it is known by its memory and by how often that was
/// written to.
/// </summary>
public static class KnownGradient
{
    /// <summary>A function's way to tell the amax of the gradient that it makes; null where nobody asks for it, so that it is not looked for.</summary>
    /// <param name="activation">What the function reads.</param>
    public static GradientAmax? Offer(Activation activation) => activation.Gradient is { WantsAmax: true } note ? (gradient, parts) => Put(note, gradient, parts, []) : null;

    /// <summary>Says what is known of a gradient.</summary>
    /// <param name="note">Where.</param>
    /// <param name="gradient">The gradient as backward returns it.</param>
    /// <param name="amaxParts">fp32 [P]; null for not known. The handle stays the caller's.</param>
    /// <param name="casts">Owned from here on; their tensors belong to no dispose scope.</param>
    public static void Put(GradientNote note, Tensor gradient, Tensor? amaxParts, IReadOnlyList<(object Key, IDisposable Cast)> casts) =>
        note.Put(new GradientFacts(gradient.alias().DetachFromDisposeScope(), AtenGateway.Version(gradient), amaxParts?.alias().DetachFromDisposeScope(), casts));

    /// <summary>What is known of the gradient that came; null for nothing. The caller disposes it.</summary>
    public static GradientFacts? Of(GradientNote? note, Tensor gradient)
    {
        if (note?.Take() is not { } known) return null;
        var noted = known.Gradient;
        if (gradient.numel() == noted.numel() && gradient.dtype == noted.dtype && gradient.device_type == noted.device_type && gradient.is_contiguous() && noted.is_contiguous()
            && TensorMemory.Identity(gradient) == TensorMemory.Identity(noted) && AtenGateway.Version(gradient) == known.Version) return known;
        known.Dispose();
        return null;
    }
}
