using System.Text.Json;
using System.Text.Json.Serialization;
using Titan.Host.Configuration;

namespace Titan.Host.Plugins;

/// <summary>titan-plugin.json: what a plugin is, made by its build.</summary>
public sealed record PluginManifest
{
    /// <summary>The manifest's file name.</summary>
    public const string FileName = "titan-plugin.json";

    /// <summary>Bytes that a manifest has at most.</summary>
    public const int Largest = 1 << 20;

    /// <summary>The version of the manifest's format; docs/titan-plugin.schema.json describes it.</summary>
    public const int Format = 2;

    /// <summary>How manifests are written and read.</summary>
    public static JsonSerializerOptions Json { get; } = new(JsonSerializerDefaults.Web)
    {
        WriteIndented = true,
        // A null or a missing part is as wrong as an unknown one.
        RespectNullableAnnotations = true,
        RespectRequiredConstructorParameters = true,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <summary>Version of the manifest's format.</summary>
    public int Schema { get; init; } = Format;

    /// <summary>Lower-case letters, digits, dots and dashes.</summary>
    public required string Id { get; init; }

    /// <summary>The plugin's own version.</summary>
    public required string Version { get; init; }

    /// <summary>The contract versions that it works with, both ends: <c>>=1.0 &lt;2.0</c>.</summary>
    public required string Contract { get; init; }

    /// <summary>The main assembly.</summary>
    public required string Assembly { get; init; }

    /// <summary>Runtime identifiers that it is for; empty for any.</summary>
    public IReadOnlyList<string> Rids { get; init; } = [];

    /// <summary>What it adds.</summary>
    public IReadOnlyList<PluginExport> Exports { get; init; } = [];

    /// <summary>Its files.</summary>
    public IReadOnlyList<PluginFile> Files { get; init; } = [];
}

/// <summary>One thing that a plugin adds.</summary>
/// <param name="Kind">For example <c>recipe</c>: a row of the host's table of kinds.</param>
/// <param name="Name">For example <c>float8/tensorwise</c>.</param>
/// <param name="Status"><c>stable</c>, <c>alpha</c> or <c>prototype</c>.</param>
/// <param name="Summary">One line.</param>
public sealed record PluginExport(string Kind, string Name, string Status, string Summary)
{
    /// <summary>Whether its family uses this recipe where a job names none.</summary>
    public bool IsDefault { get; init; }

    /// <summary>Its options, the keys of its config section.</summary>
    public IReadOnlyList<PluginOption> Options { get; init; } = [];

    /// <summary>The section whose keys a parallelism's options are.</summary>
    public const string ParallelismSection = "parallelism";

    /// <summary>The sizes of a model family (<c>model.flavor</c>); empty for other kinds.</summary>
    public IReadOnlyList<string> Flavors { get; init; } = [];

    /// <summary>Kind and name, for messages.</summary>
    [JsonIgnore]
    public string Title => $"{Kind} {Name}";
}

/// <summary>A file of a plugin.</summary>
/// <param name="Path">Relative to the plugin's folder, with forward slashes.</param>
/// <param name="Sha256">Lower-case hex.</param>
public sealed record PluginFile(string Path, string Sha256);
