using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Models;

/// <summary>
/// The residual stream between blocks. What the last layer gave is not added yet: the next norm reads the sum anyway, so it adds on its way.
/// </summary>
/// <param name="Sum">[B, S, dim], all that was added.</param>
/// <param name="Addend">[B, S, dim], what is still to be added; null for nothing.</param>
internal sealed record ResidualStream(Tensor Sum, Activation? Addend)
{
    /// <summary>Adds what is pending, and normalises the sum.</summary>
    public (Tensor Sum, Activation Normed) Normalize(INorm norm, bool wantsAmax) =>
        Addend is null ? (Sum, norm.Forward(Sum, wantsAmax)) : norm.ForwardSum(Sum, Addend, wantsAmax);

    /// <summary>The stream with nothing pending.</summary>
    public Tensor Total() => Addend is null ? Sum.alias() : Sum + Addend.Values;
}
