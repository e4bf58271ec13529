using Titan.Abstractions;
using Titan.Training.Configuration;
using Titan.Models;
using Titan.Training.Models;
using static TorchSharp.torch;

namespace Titan.Training.Parallel;

/// <summary>A job's model as the first rank of a mesh would have it, built, converted and parallelised on the meta device.</summary>
/// <param name="Model">The model.</param>
/// <param name="Flavor">Its flavor.</param>
/// <param name="Conversions">What the converters made of it.</param>
/// <param name="Parallelisms">What the parallelisms made of it.</param>
public sealed record PlannedModel(LanguageModel Model, ModelFlavor Flavor, IReadOnlyList<IModelConversion> Conversions, AppliedParallelisms Parallelisms)
{
    /// <summary>What a step sends.</summary>
    public StepPlan Step => StepPlan.Of(Parallelisms, Conversions);

    /// <summary>Whether a weight travels encoded.</summary>
    public bool GathersEncoded => ModelParameters.Layers(Model).Any(l => l.Layer.Weight.IsEncoded);

    /// <summary>Builds it.</summary>
    /// <param name="config">The job.</param>
    /// <param name="models">The families.</param>
    /// <param name="converters">Its converters.</param>
    /// <param name="parallelisms">What serves the mesh.</param>
    /// <param name="dimensions">The mesh.</param>
    /// <param name="encodesWeights">False: as if every weight travelled in the compute dtype.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/>, naming a layer that cannot be shared.</exception>
    public static PlannedModel Of(
        JobConfig config, ModelRegistry models, IReadOnlyList<(string Name, IModelConverter Converter, object Options)> converters, IReadOnlyList<JobParallelism> parallelisms, ParallelDimensions dimensions,
        bool encodesWeights = true)
    {
        var (model, flavor, conversions) = ModelBuilder.Build(config, models, converters, dimensions, META, isPlan: true);
        var applied = new AppliedParallelisms(model, config, new DeviceMesh(dimensions, 0, (name, members) => new PlannedGroup(name, members.Count)), parallelisms, META, encodesWeights);
        return new PlannedModel(model, flavor, conversions, applied);
    }
}
