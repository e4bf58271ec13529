namespace Titan.Abstractions;

/// <summary>A layer with a weight that a parallelism may share among ranks. Replace the weight with <see cref="ModelParameters.SetWeight"/>.</summary>
public interface IWeightedLayer
{
    /// <summary>Where the weight comes from.</summary>
    IWeightSource Weight { get; set; }
}
