namespace Titan.Abstractions;

/// <summary>A module of a model with numbers to report of a step, the same on all ranks.</summary>
public interface IMetricSource
{
    /// <summary>The numbers of the last step; asked for where a step is logged.</summary>
    IReadOnlyList<ModelMetric> Metrics { get; }
}

/// <summary>A number of a model's.</summary>
/// <param name="Name">As metrics.jsonl has it, for example <c>moe/entropy</c>.</param>
/// <param name="Value">It.</param>
/// <param name="Label">Its name in the log line; null to leave it out there.</param>
public sealed record ModelMetric(string Name, double Value, string? Label = null);
