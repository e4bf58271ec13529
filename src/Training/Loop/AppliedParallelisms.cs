using Titan.Abstractions;
using Titan.Models;
using Titan.Training.Configuration;
using static TorchSharp.torch;

namespace Titan.Training.Loop;

/// <summary>The parallelisms of a run, in the order of <see cref="MeshDimension"/>.</summary>
internal sealed class AppliedParallelisms
{
    private readonly List<IParallelism> applied = [];

    /// <summary>Applies a parallelism to every dimension with more than one rank.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Plugin"/> when no plugin serves a dimension.</exception>
    public AppliedParallelisms(LanguageModel model, JobConfig config, TrainingRanks ranks, IReadOnlyList<(MeshDimension Dimension, IParallelism Parallelism)> available, Device device)
    {
        foreach (var dimension in Enum.GetValues<MeshDimension>())
        {
            var size = ranks.Dimensions[dimension];
            if (size == 1) continue;
            var (_, parallelism) = available.FirstOrDefault(p => p.Dimension == dimension);
            if (parallelism is null)
                throw new TitanException(ExitCode.Plugin,
                    $"the mesh has {size} ranks along {dimension}, and no loaded plugin serves that dimension; served: {string.Join(", ", available.Select(p => p.Dimension))}; 'titan plugin list' shows what is loaded and why others are not");
            parallelism.Apply(new ParallelizationContext(model, model.Blocks, ranks.Dimensions, ranks.Along(dimension))
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
