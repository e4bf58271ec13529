using Titan.Abstractions;
using Titan.Training.Configuration;
using Titan.Training.Models;
using Titan.Training.Parallel;

namespace Titan.Training.Loop;

/// <summary>What a trainer is given.</summary>
/// <param name="Config">The job.</param>
/// <param name="Models">Model families.</param>
/// <param name="Converters">The converters of <c>model.converters</c>, in order, with their options.</param>
/// <param name="Metadata">What made the run: plugins with versions and hashes; saved in checkpoints.</param>
/// <param name="Log">Receives log lines.</param>
/// <param name="Warn">Receives warnings.</param>
/// <param name="Colour">Whether log lines may be coloured.</param>
public sealed record TrainerDependencies(
    JobConfig Config, ModelRegistry Models, IReadOnlyList<(string Name, IModelConverter Converter, object Options)> Converters,
    IReadOnlyDictionary<string, string> Metadata, Action<string> Log, Action<string> Warn, bool Colour)
{
    /// <summary>Where the run computes.</summary>
    public TrainingDevice Device { get; init; } = TrainingDevice.Cpu;

    /// <summary>The ranks that train together.</summary>
    public TrainingRanks Ranks { get; init; } = TrainingRanks.Single;

    /// <summary>What plugins offer for the axes of the mesh.</summary>
    public IReadOnlyList<JobParallelism> Parallelisms { get; init; } = [];

    /// <summary>Called after each step with the step, the last step, and the time that is left.</summary>
    public Action<long, long, TimeSpan>? Progress { get; init; }
}
