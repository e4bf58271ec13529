using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>A normalisation over the last dimension, as blocks use it: alone, or of a sum that it makes on its way.</summary>
public interface INorm
{
    /// <summary>Normalises x [..., D].</summary>
    /// <param name="x">[..., D].</param>
    /// <param name="wantsAmax">Whether a reader of the result looks for its amax.</param>
    Activation Forward(Tensor x, bool wantsAmax);

    /// <summary>Adds to the residual stream, and normalises the sum.</summary>
    /// <param name="x">The residual stream [..., D].</param>
    /// <param name="addend">What is added to it [..., D]; its note is told what is known of the gradient.</param>
    /// <param name="wantsAmax">Whether a reader of the result looks for its amax.</param>
    /// <returns>The sum in x's dtype, and the sum normalised.</returns>
    (Tensor Sum, Activation Normed) ForwardSum(Tensor x, Activation addend, bool wantsAmax);
}
