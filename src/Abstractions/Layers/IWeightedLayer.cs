namespace Titan.Abstractions;

/// <summary>A layer whose weights a parallelism may share among ranks.</summary>
public interface IWeightedLayer
{
    /// <summary>All weights of the layer, in the order of its parameters; first the one that gives the layer its shape.</summary>
    IReadOnlyList<WeightSlot> Weights { get; }

    /// <summary>Where the first of them comes from.</summary>
    IWeightSource Weight
    {
        get => Weights[0].Source;
        set => Weights[0].Source = value;
    }
}
