namespace Titan.Abstractions;

/// <summary>A layer that makes use of what is known of its input besides its values. A layer without this interface gets the values alone.</summary>
public interface IActivationLayer
{
    /// <summary>Whether the layer looks for the amax of its input, so that the maker had better find it on its way.</summary>
    bool WantsInputAmax { get; }

    /// <summary>Runs the layer.</summary>
    /// <param name="x">[..., K].</param>
    /// <returns>[..., N] of x's dtype, with a <see cref="Activation.Gradient"/> where the layer asks for what is known of its output's gradient.</returns>
    Activation Forward(Activation x);
}
