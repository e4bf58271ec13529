using TorchSharp;

namespace Titan.Abstractions;

/// <summary>
/// Changes a built and converted model so that an axis of the mesh shares its work, usually by putting its own <see cref="IWeightSource"/> into
/// layers. Applied in the order of <see cref="MeshAxis"/>, only where it works over more than one rank.
/// </summary>
public interface IParallelism
{
    /// <summary>Changes the model in place.</summary>
    void Apply(ParallelizationContext context);

    /// <summary>What <see cref="Apply"/> did, one line each, for the run's report: what travels in which dtype.</summary>
    IReadOnlyList<string> Notes => [];

    /// <summary>
    /// This rank's share of a micro-batch, before its forward, in training and validation: a parallelism that splits sequences takes tokens, labels
    /// and positions of its own part. The ranks of <c>dp</c> have read different sequences already, all others the same.
    /// </summary>
    /// <param name="batch">The share of the parallelisms before it, on the run's device.</param>
    ModelBatch ShareOf(ModelBatch batch) => batch;

    /// <summary>Runs after each backward: gradients that are still on their way are waited for.</summary>
    void AfterBackward() { }

    /// <summary>Runs after each optimizer step and after a checkpoint was loaded.</summary>
    void AfterOptimizerStep() { }
}

/// <summary>What a parallelism is given.</summary>
/// <param name="Model">The whole model, on the meta device: a parallelism makes the parameters that it changes.</param>
/// <param name="Blocks">The transformer blocks, FQN and module, in the order of forward. Layers outside of them come before the first or after the last.</param>
/// <param name="Mesh">The ranks.</param>
/// <param name="Axis">The axis that the parallelism serves.</param>
public sealed record ParallelizationContext(
    torch.nn.Module Model, IReadOnlyList<(string Fqn, torch.nn.Module Module)> Blocks, DeviceMesh Mesh, MeshAxis Axis)
{
    /// <summary>The sizes of the mesh.</summary>
    public ParallelDimensions Dimensions => Mesh.Sizes;

    /// <summary>The ranks over which the parallelism works: those along its axis; those of <c>fsdp</c> for <c>dp_shard</c>.</summary>
    public IProcessGroup Group => Mesh.Over(Axis);

    /// <summary>Where parameters are made.</summary>
    public torch.Device Device { get; init; } = torch.CPU;

    /// <summary>Dtype in which weights travel and layers compute (<c>training.mixed_precision_param</c>).</summary>
    public torch.ScalarType ParamType { get; init; } = torch.ScalarType.BFloat16;

    /// <summary>Whether gathered weights are dropped after a block's forward and gathered again for its backward (<c>parallelism.fsdp_reshard_after_forward</c>).</summary>
    public bool ReshardAfterForward { get; init; } = true;

    /// <summary>Whether the next block's weights are gathered while a block runs (<c>parallelism.fsdp_prefetch</c>).</summary>
    public bool Prefetch { get; init; } = true;

    /// <summary>Whether the logits are gathered before the loss (<c>parallelism.disable_loss_parallel</c>).</summary>
    public bool DisableLossParallel { get; init; }
}
