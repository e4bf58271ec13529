using TorchSharp;

namespace Titan.Abstractions;

/// <summary>
/// Changes a built and converted model so that a dimension of the mesh shares its work, usually by putting its own <see cref="IWeightSource"/> into layers.
/// Applied in the order of <see cref="MeshDimension"/>, only where the dimension's size is more than one.
/// </summary>
public interface IParallelism
{
    /// <summary>Changes the model in place.</summary>
    void Apply(ParallelizationContext context);

    /// <summary>Runs after each optimizer step and after a checkpoint was loaded.</summary>
    void AfterOptimizerStep() { }
}

/// <summary>What a parallelism is given.</summary>
/// <param name="Model">The whole model.</param>
/// <param name="Blocks">The units to gather at a time: the transformer blocks, then what is left; FQN and module.</param>
/// <param name="Dimensions">The sizes of the mesh.</param>
/// <param name="Group">The ranks along the dimension that the parallelism serves.</param>
public sealed record ParallelizationContext(
    torch.nn.Module Model, IReadOnlyList<(string Fqn, torch.nn.Module Module)> Blocks, ParallelDimensions Dimensions, IProcessGroup Group);
