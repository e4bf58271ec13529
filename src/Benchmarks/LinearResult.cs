using Titan.Abstractions;
using Titan.Quantization.Measurement;

namespace Titan.Benchmarks;

/// <summary>One shape, measured or skipped.</summary>
/// <param name="Tokens">M.</param>
/// <param name="Shape">K x N.</param>
/// <param name="HighPrecision">Time in bf16; null when skipped.</param>
/// <param name="Recipes">By recipe name: its time, or why it has none.</param>
/// <param name="Skipped">Why the shape was not measured, or null.</param>
public sealed record LinearResult(
    long Tokens, LinearShape Shape, Timing? HighPrecision, IReadOnlyDictionary<string, (Timing? Time, string? Refused)> Recipes, string? Skipped)
{
    /// <summary>bf16 over recipe, or null.</summary>
    public double? SpeedUp(string recipe) => HighPrecision is { } high && Recipes.TryGetValue(recipe, out var found) && found.Time is { } time ? high.Median / time.Median : null;
}
