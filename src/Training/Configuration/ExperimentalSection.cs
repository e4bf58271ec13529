using System.ComponentModel;

namespace Titan.Training.Configuration;

/// <summary>Upstream's hooks.</summary>
public sealed record ExperimentalSection
{
    /// <summary>A Python module to import.</summary>
    [Description("A Python module to import.")]
    [NotServedYet("drop a plugin folder into plugins.path")]
    public string CustomImport { get; init; } = "";

    /// <summary>A Python module with arguments.</summary>
    [Description("A Python module with arguments.")]
    [NotServedYet("plugins add their sections by being loaded")]
    public string CustomArgsModule { get; init; } = "";
}
