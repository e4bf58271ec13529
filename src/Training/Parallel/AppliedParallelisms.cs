using Titan.Abstractions;
using Titan.Training.Configuration;
using Titan.Training.Data;
using Titan.Models;
using Titan.Training.Models;
using static TorchSharp.torch;

namespace Titan.Training.Parallel;

/// <summary>The parallelisms of a model, in the order of <see cref="MeshAxis"/>: of a run, or of a plan, where the device is meta and the groups send nothing.</summary>
public sealed class AppliedParallelisms
{
    private readonly List<IAppliedParallelism> applied = [];
    private readonly List<PlannedBy> plans = [];

    /// <summary>Plans and applies the parallelism of every axis that has work for more than one rank.</summary>
    /// <param name="model">The model, converted, on the meta device.</param>
    /// <param name="config">The job.</param>
    /// <param name="mesh">The ranks.</param>
    /// <param name="available">What serves which axis.</param>
    /// <param name="device">Where parameters are made.</param>
    /// <param name="encodesWeights">False: as if every weight travelled in the compute dtype.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Plugin"/> when no plugin serves an axis.</exception>
    public AppliedParallelisms(LanguageModel model, JobConfig config, DeviceMesh mesh, IReadOnlyList<JobParallelism> available, Device device, bool encodesWeights = true)
    {
        var sizes = mesh.Sizes;
        var leading = ModelBuilder.LeadingLayers(model);
        Step = new StepShape(config.Training.LocalBatchSize, config.Training.SeqLen / sizes.ContextParallel, GradientAccumulation.Steps(config.Training, sizes))
        {
            Recomputed = ModelBuilder.RecomputedParts(model, config.ActivationCheckpoint, leading), Leading = leading,
        };
        foreach (var axis in MeshAxes.Served.Where(a => sizes.Over(a) > 1))
        {
            var serving = available.FirstOrDefault(p => p.Axis == axis)
                ?? throw new TitanException(ExitCode.Plugin, UnservedAxis.Message(axis, sizes.Over(axis), available.Select(p => p.Axis.Name())));
            var context = new ParallelizationContext(model, model.Blocks, mesh, axis, serving.Options)
            {
                Device = device, ParamType = ModelBuilder.TypeOf(config.Training.MixedPrecisionParam), Step = Step, EncodesWeights = encodesWeights,
            };
            plans.Add(new PlannedBy($"{axis.Name()} of plugin '{serving.Plugin}'", serving.Parallelism.Plan(context)));
            applied.Add(serving.Parallelism.Apply(context));
        }

        if (sizes.World > 1) plans.Add(new PlannedBy("the model's step hooks", new ParallelismPlan([.. ModulesWith.Interface<IStepHooks>(model).SelectMany(h => h.Plan(mesh.Loss))])));
    }

    /// <summary>What a step computes on a rank.</summary>
    public StepShape Step { get; }

    /// <summary>What each said that it would do, in the order in which they were applied.</summary>
    public IReadOnlyList<PlannedBy> Plans => plans;

    /// <summary>What a user should know of them, for example what travels how.</summary>
    public IEnumerable<string> Notes => applied.SelectMany(p => p.Notes);

    /// <summary>The ranks that have parts of the vocabulary in the logits; null for none.</summary>
    public IProcessGroup? VocabularyGroup => applied.Select(p => p.VocabularyGroup).FirstOrDefault(g => g is not null);

    /// <summary>This rank's share of a micro-batch.</summary>
    /// <param name="batch">The whole sequences.</param>
    /// <param name="device">Where the model is.</param>
    internal ModelBatch ShareOf(Batch batch, Device device) =>
        applied.Aggregate(new ModelBatch(batch.InputsOn(device), batch.LabelsOn(device)) { Documents = batch.DocumentsOn(device) }, (share, parallelism) => parallelism.ShareOf(share));

    /// <summary>Waits for gradients that are on their way.</summary>
    public void AfterBackward()
    {
        foreach (var parallelism in applied) parallelism.AfterBackward();
    }

    /// <summary>What they sent beyond the plan since the last call, where the data decide how much.</summary>
    internal IReadOnlyList<UnplannedBytes> TakeUnplanned() => [.. applied.SelectMany(p => p.TakeUnplanned())];

    /// <summary>Tells them that the weights have changed.</summary>
    public void AfterOptimizerStep()
    {
        foreach (var parallelism in applied) parallelism.AfterOptimizerStep();
    }
}

/// <summary>A plan and whose it is.</summary>
/// <param name="Owner">For messages.</param>
/// <param name="Plan">The plan.</param>
public sealed record PlannedBy(string Owner, ParallelismPlan Plan);
