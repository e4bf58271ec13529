using Titan.Abstractions;
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

    /// <summary>The values of a part of a plugin's section as the plugin's own record.</summary>
    /// <param name="record">The record.</param>
    /// <param name="section">The section.</param>
    /// <param name="owner">The part's owner.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/> when a given value breaks a rule that the manifest has no words for.</exception>
    public object OptionsAs(Type record, string section, string? owner)
    {
        var options = OptionsRecord.Create(record, Options.GetValueOrDefault((section, owner)) ?? new Dictionary<string, object?>());
        var problems = new JobProblems();
        foreach (var property in OptionsRecord.Properties(record))
        {
            var key = ConfigKey.Of(section, property, null);
            if (Origins.TryGetValue(key.FullName, out var origin) && property.GetValue(options) is var value && ValueRules.Broken(key, value) is { } rule)
                problems.Add(key.FullName, origin, KeyType.ShowShort(value), rule);
        }

        problems.ThrowIfAny();
        return options;
    }
}
