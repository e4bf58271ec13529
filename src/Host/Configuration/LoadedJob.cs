using Titan.Training.Configuration;

namespace Titan.Host.Configuration;

/// <summary>A job as it will run.</summary>
/// <param name="Config">The merged configuration.</param>
/// <param name="Origins">Where each key that is not at its default comes from, by full name.</param>
/// <param name="Values">The value of every key, by full name.</param>
/// <param name="Warnings">What the user should know: old names, keys without effect.</param>
public sealed record LoadedJob(
    JobConfig Config, IReadOnlyDictionary<string, string> Origins, IReadOnlyDictionary<string, object?> Values, IReadOnlyList<string> Warnings)
{
    /// <summary>The values that each part of a plugin's section is given, by the option's key; see <see cref="PluginSection"/>.</summary>
    public IReadOnlyDictionary<(string Section, string? Owner), IReadOnlyDictionary<string, object?>> Options { get; init; } =
        new Dictionary<(string, string?), IReadOnlyDictionary<string, object?>>();
}
