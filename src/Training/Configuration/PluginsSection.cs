using System.ComponentModel;

namespace Titan.Training.Configuration;

/// <summary>Where plugins come from, and which may load (ours).</summary>
public sealed record PluginsSection
{
    /// <summary>More folders of plugins.</summary>
    [Description("More folders of plugins.")]
    public IReadOnlyList<string> Path { get; init; } = [];

    /// <summary>Ids of plugins not to load.</summary>
    [Description("Ids of plugins not to load.")]
    public IReadOnlyList<string> Disable { get; init; } = [];

    /// <summary>When not empty: load only these ids.</summary>
    [Description("When not empty: load only these ids.")]
    public IReadOnlyList<string> Allow { get; init; } = [];
}
