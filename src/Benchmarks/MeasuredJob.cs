using Titan.Abstractions;
using Titan.Training.Configuration;
using Titan.Training.Models;
using Titan.Training.Parallel;

namespace Titan.Benchmarks;

/// <summary>A job that is measured, as the program has read it and loaded its plugins.</summary>
/// <param name="Config">The job.</param>
/// <param name="Converters">Its converters, in order, with their options.</param>
/// <param name="Plugins">The active plugins with their versions, for the head of a page.</param>
public sealed record MeasuredJob(JobConfig Config, IReadOnlyList<(string Name, IModelConverter Converter, object Options)> Converters, IReadOnlyList<string> Plugins)
{
    /// <summary>The model families that it may name.</summary>
    public ModelRegistry Models { get; init; } = ModelRegistry.CreateDefault();

    /// <summary>What serves the mesh of this run.</summary>
    public IReadOnlyList<JobParallelism> Parallelisms { get; init; } = [];

    /// <summary>The same converters asked for float8 gathers; null where none can be.</summary>
    public IReadOnlyList<(string Name, IModelConverter Converter, object Options)>? WithFloat8Gathers { get; init; }
}
