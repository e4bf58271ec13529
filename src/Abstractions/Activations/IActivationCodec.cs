using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>An activation, or a part of it along the sequence, as it travels.</summary>
/// <param name="Planes">[B, n, F'] each, n proportional to the length of the sequence, so that parts joined along dimension 1 are the planes of the whole.</param>
/// <param name="Scale">What every rank knows already: one scale for the whole tensor; null where scales are among the planes.</param>
public sealed record EncodedActivation(IReadOnlyList<Tensor> Planes, Tensor? Scale);

/// <summary>
/// How an activation [B, S, F] of a converted layer travels where ranks hold parts of the sequence: each encodes its part, and what all of them give is, bit for bit, the
/// cast that the layer's matmuls would have made of the whole. Layers with the same codec (by reference) read the same bytes.
/// </summary>
public interface IActivationCodec
{
    /// <summary>What travels, for the report.</summary>
    /// <param name="forBackward">Whether backward follows.</param>
    string Describe(bool forBackward);

    /// <summary>Encodes a part.</summary>
    /// <param name="part">[B, S / ranks, F].</param>
    /// <param name="amaxParts">Magnitudes whose maximum is the amax of the part, where they are known; null to look for it.</param>
    /// <param name="forBackward">Whether the matmuls of backward will need the activation as well.</param>
    /// <param name="reduceAmax">The largest over all parts of a 0-d fp32 magnitude.</param>
    /// <returns>Planes of bytes or fp32, contiguous; null where the cast of a part is not a part of the cast, so that the activation has to travel in its own dtype.</returns>
    EncodedActivation? Encode(Tensor part, Tensor? amaxParts, bool forBackward, Func<Tensor, Tensor> reduceAmax);

    /// <summary>The values of the whole.</summary>
    /// <returns>[B, S, F] of <paramref name="type"/>.</returns>
    Tensor Decode(EncodedActivation whole, ScalarType type);

    /// <summary>Lets the layers take the bytes where they would cast the activation.</summary>
    /// <param name="activation">What <see cref="Decode"/> gave, as the layers will get it.</param>
    /// <param name="whole">Its bytes; the handles stay the caller's.</param>
    void Attach(Activation activation, EncodedActivation whole);

    /// <summary>Lets the backward of the layer that made an activation take the bytes where it would cast the activation's gradient.</summary>
    /// <param name="note">The note of the layer's output.</param>
    /// <param name="gradient">What <see cref="Decode"/> gave.</param>
    /// <param name="whole">Its bytes; the handles stay the caller's.</param>
    void Attach(GradientNote note, Tensor gradient, EncodedActivation whole);
}
