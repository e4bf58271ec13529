namespace Titan.Host.Plugins;

/// <summary>A plugin folder and what became of it.</summary>
public sealed record PluginRecord
{
    /// <summary>The plugin's id, or the folder's name where there is no readable manifest.</summary>
    public required string Id { get; init; }

    /// <summary>Its version, or "?".</summary>
    public string Version { get; init; } = "?";

    /// <summary>Its folder.</summary>
    public required string Folder { get; init; }

    /// <summary>What became of it.</summary>
    public PluginStatus Status { get; init; } = PluginStatus.Active;

    /// <summary>Why it is not active.</summary>
    public string Reason { get; init; } = "";

    /// <summary>What to do about it.</summary>
    public string NextStep { get; init; } = "";

    /// <summary>What it adds.</summary>
    public IReadOnlyList<PluginExport> Exports { get; init; } = [];

    /// <summary>SHA-256 of its main assembly.</summary>
    public string Hash { get; init; } = "";

    /// <summary>Its manifest, when it could be read.</summary>
    [System.Text.Json.Serialization.JsonIgnore]
    public PluginManifest? Manifest { get; init; }

    /// <summary>The same plugin with another outcome. Texts of a plugin's are in them: they become one line each.</summary>
    public PluginRecord As(PluginStatus status, string reason, string nextStep) => this with { Status = status, Reason = OneLine(reason), NextStep = OneLine(nextStep) };

    private static string OneLine(string text) => string.Concat(text.Select(c => char.IsControl(c) ? ' ' : c));
}
