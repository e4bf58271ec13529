using Titan.Abstractions;
using Titan.Training.Configuration;
using Titan.Training.Data;
using Titan.Training.Models;
using static TorchSharp.torch;

namespace Titan.Training.Loop;

/// <summary>The parallelisms of a run, in the order of <see cref="MeshAxis"/>.</summary>
internal sealed class AppliedParallelisms
{
    private readonly List<IParallelism> applied = [];

    /// <summary>Applies the parallelism of every axis that has work for more than one rank.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Plugin"/> when no plugin serves an axis.</exception>
    public AppliedParallelisms(LanguageModel model, JobConfig config, TrainingRanks ranks, IReadOnlyList<(MeshAxis Axis, IParallelism Parallelism)> available, Device device)
    {
        foreach (var axis in MeshAxes.All.Where(a => ranks.Dimensions.Over(a) > 1))
        {
            var (_, parallelism) = available.FirstOrDefault(p => p.Axis == axis);
            if (parallelism is null)
                throw new TitanException(ExitCode.Plugin, UnservedAxis.Message(axis, ranks.Dimensions.Over(axis), available.Select(p => p.Axis.Name())));
            parallelism.Apply(new ParallelizationContext(model, model.Blocks, ranks.Mesh, axis)
            {
                Device = device,
                ParamType = ModelBuilder.TypeOf(config.Training.MixedPrecisionParam),
                ReshardAfterForward = config.Parallelism.FsdpReshardAfterForward != "never",
                Prefetch = config.Parallelism.FsdpPrefetch,
                DisableLossParallel = config.Parallelism.DisableLossParallel,
            });
            applied.Add(parallelism);
        }
    }

    /// <summary>What a user should know of them, for example what travels how.</summary>
    public IEnumerable<string> Notes => applied.SelectMany(p => p.Notes);

    /// <summary>This rank's share of a micro-batch.</summary>
    /// <param name="batch">The whole sequences.</param>
    /// <param name="device">Where the model is.</param>
    public ModelBatch ShareOf(Batch batch, Device device) =>
        applied.Aggregate(new ModelBatch(batch.InputsOn(device), batch.LabelsOn(device)), (share, parallelism) => parallelism.ShareOf(share));

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
