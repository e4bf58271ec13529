using System.ComponentModel;

namespace Titan.Training.Configuration;

/// <summary>The run itself.</summary>
public sealed record JobSection
{
    /// <summary>The job file (TOML).</summary>
    [Description("The job file (TOML).")]
    public string? ConfigFile { get; init; }

    /// <summary>Root of everything that the run writes.</summary>
    [Description("Root of everything that the run writes.")]
    public string DumpFolder { get; init; } = "./outputs";

    /// <summary>Logged at start.</summary>
    [Description("Logged at start.")]
    public string Description { get; init; } = "default job";

    /// <summary>Log the merged configuration as JSON.</summary>
    [Description("Log the merged configuration as JSON.")]
    public bool PrintConfig { get; init; }

    /// <summary>File name under dump_folder for the merged configuration as JSON.</summary>
    [Description("File name under dump_folder for the merged configuration as JSON.")]
    public string? SaveConfigFile { get; init; }

    /// <summary>Upstream: a Python module with more configuration.</summary>
    [Description("Upstream: a Python module with more configuration.")]
    [NotServedYet("plugins add their sections by being loaded")]
    public string CustomConfigModule { get; init; } = "";
}
