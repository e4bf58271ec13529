using TorchSharp;

namespace Titan.Abstractions;

/// <summary>
/// Changes a built and converted model so that an axis of the mesh shares its work, usually by putting its own <see cref="IWeightSource"/> into layers.
/// Applied in the order of <see cref="MeshAxis"/>, only where it works over more than one rank. One object serves every run of a process, so it keeps nothing: what lives with a
/// run is what <see cref="Apply"/> returns.
/// </summary>
public interface IParallelism
{
    /// <summary>The options record: its properties become keys of the config section <c>[parallelism]</c>.</summary>
    Type OptionsType => typeof(NoOptions);

    /// <summary>
    /// What a step of the model sends once <see cref="Apply"/> has changed it: <c>titan plan</c> prints it, and a run compares it with what was counted. Called right before
    /// <see cref="Apply"/>, on the same model, and changes nothing.
    /// </summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/>, naming a layer that cannot be shared.</exception>
    ParallelismPlan Plan(ParallelizationContext context);

    /// <summary>Changes the model in place. For a plan the device is <c>meta</c>, and the group can send nothing.</summary>
    /// <returns>What lives with this model.</returns>
    IAppliedParallelism Apply(ParallelizationContext context);
}

/// <summary>A parallelism at work in one model. It lives as long as the model.</summary>
public interface IAppliedParallelism
{
    /// <summary>What was done, one line each, for the run's report: what travels in which dtype.</summary>
    IReadOnlyList<string> Notes => [];

    /// <summary>The ranks that have parts of the vocabulary in the model's logits, which the loss then combines; null where this leaves the logits whole.</summary>
    IProcessGroup? VocabularyGroup => null;

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

    /// <summary>
    /// Bytes that were sent beyond the plan of one step since the last call, where the data decide how many, for example the rows that a router sends to an expert; negative for fewer. A run adds
    /// them to what was planned before it compares.
    /// </summary>
    IReadOnlyList<UnplannedBytes> TakeUnplanned() => [];
}

/// <summary>Bytes beyond a plan.</summary>
/// <param name="Group">Name of the group.</param>
/// <param name="Verb">A <see cref="CollectiveVerb"/>.</param>
/// <param name="Bytes">As they are counted; negative for fewer.</param>
public sealed record UnplannedBytes(string Group, string Verb, long Bytes);

/// <summary>What a parallelism is given.</summary>
/// <param name="Model">The whole model, on the meta device: a parallelism makes the parameters that it changes.</param>
/// <param name="Blocks">The transformer blocks, FQN and module, in the order of forward. Layers outside of them come before the first or after the last.</param>
/// <param name="Mesh">The ranks.</param>
/// <param name="Axis">The axis that the parallelism serves.</param>
/// <param name="Options">An instance of <see cref="IParallelism.OptionsType"/>.</param>
public sealed record ParallelizationContext(
    torch.nn.Module Model, IReadOnlyList<(string Fqn, torch.nn.Module Module)> Blocks, DeviceMesh Mesh, MeshAxis Axis, object Options)
{
    /// <summary>The sizes of the mesh.</summary>
    public ParallelDimensions Dimensions => Mesh.Sizes;

    /// <summary>The ranks over which the parallelism works: those along its axis; those of <c>fsdp</c> for <c>dp_shard</c>.</summary>
    public IProcessGroup Group => Mesh.Over(Axis);

    /// <summary>Where parameters are made.</summary>
    public torch.Device Device { get; init; } = torch.CPU;

    /// <summary>Dtype in which weights travel and layers compute (<c>training.mixed_precision_param</c>).</summary>
    public torch.ScalarType ParamType { get; init; } = torch.ScalarType.BFloat16;

    /// <summary>What a step computes on a rank.</summary>
    public StepShape Step { get; init; } = new(1, 1, 1);

    /// <summary>Whether weights travel as their layers' codecs encode them; false for a plan of what they would be in <see cref="ParamType"/>.</summary>
    public bool EncodesWeights { get; init; } = true;
}
