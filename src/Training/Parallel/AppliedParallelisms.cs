using Titan.Abstractions;
using Titan.Training.Configuration;
using Titan.Training.Loop;
using Titan.Training.Models;
using static TorchSharp.torch;

namespace Titan.Training.Parallel;

/// <summary>The parallelisms of a model, in the order of <see cref="MeshDimension"/>: of a run, or of a plan, where the device is meta and the groups send nothing.</summary>
public sealed class AppliedParallelisms
{
    private readonly List<IAppliedParallelism> applied = [];
    private readonly List<PlannedBy> plans = [];

    /// <summary>Plans and applies a parallelism for every dimension with more than one rank.</summary>
    /// <param name="model">The model, converted, on the meta device.</param>
    /// <param name="config">The job.</param>
    /// <param name="dimensions">The sizes of the mesh.</param>
    /// <param name="along">The group along a dimension.</param>
    /// <param name="available">What serves which dimension.</param>
    /// <param name="device">Where parameters are made.</param>
    /// <param name="encodesWeights">False: as if every weight travelled in the compute dtype.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Plugin"/> when no plugin serves a dimension.</exception>
    public AppliedParallelisms(
        LanguageModel model, JobConfig config, ParallelDimensions dimensions, Func<MeshDimension, IProcessGroup> along, IReadOnlyList<JobParallelism> available, Device device,
        bool encodesWeights = true)
    {
        Step = new StepShape(config.Training.LocalBatchSize, config.Training.SeqLen / dimensions.ContextParallel, GradientAccumulation.Steps(config.Training, dimensions))
        {
            Recomputed = ModelBuilder.RecomputedParts(model, config.ActivationCheckpoint),
        };
        foreach (var dimension in Enum.GetValues<MeshDimension>())
        {
            var size = dimensions[dimension];
            if (size == 1) continue;
            var serving = available.FirstOrDefault(p => p.Dimension == dimension) ?? throw new TitanException(ExitCode.Plugin,
                $"the mesh has {size} ranks along {dimension}, and no loaded plugin serves that dimension; served: {string.Join(", ", available.Select(p => p.Dimension))}; 'titan plugin list' shows what is loaded and why others are not");
            var context = new ParallelizationContext(model, model.Blocks, dimensions, along(dimension), serving.Options)
            {
                Device = device, ParamType = ModelBuilder.TypeOf(config.Training.MixedPrecisionParam), Step = Step, EncodesWeights = encodesWeights,
            };
            plans.Add(new PlannedBy($"{dimension} of plugin '{serving.Plugin}'", serving.Parallelism.Plan(context)));
            applied.Add(serving.Parallelism.Apply(context));
        }
    }

    /// <summary>What a step computes on a rank.</summary>
    public StepShape Step { get; }

    /// <summary>What each said that it would do, in the order in which they were applied.</summary>
    public IReadOnlyList<PlannedBy> Plans => plans;

    /// <summary>What a user should know of them, for example what travels how.</summary>
    public IEnumerable<string> Notes => applied.SelectMany(p => p.Notes);

    /// <summary>The ranks that have parts of the vocabulary in the logits; null for none.</summary>
    public IProcessGroup? VocabularyGroup => applied.Select(p => p.VocabularyGroup).FirstOrDefault(g => g is not null);

    /// <summary>Waits for gradients that are on their way.</summary>
    public void AfterBackward()
    {
        foreach (var parallelism in applied) parallelism.AfterBackward();
    }

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
