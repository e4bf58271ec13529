using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;

namespace Titan.Training.Checkpoints;

/// <summary>manifest.json of a checkpoint: written last, so a folder without one is not a checkpoint.</summary>
public sealed partial record CheckpointManifest
{
    /// <summary>The format in which tensors are in as many files as ranks wrote them.</summary>
    public const int CurrentFormat = 2;

    /// <summary>The format in which each file of tensors is one file. Still written where one rank holds everything, so that earlier programs read it.</summary>
    public const int PlainFormat = 1;

    /// <summary>The format of a folder whose tensors are named and laid out as Hugging Face's: weights that other programs load, and no checkpoint to resume.</summary>
    public const int HuggingFaceFormat = 3;

    /// <summary>The manifest's file name.</summary>
    public const string FileName = "manifest.json";

    /// <summary>The file with the manifest's own SHA-256, as sha256sum writes and checks it.</summary>
    public const string SealName = FileName + ".sha256";

    /// <summary>The highest step: what a folder's name and a file's number are read up to.</summary>
    public const long LastStep = 999_999_999_999_999_999;

    /// <summary>Bytes that a manifest has at most.</summary>
    internal const int Largest = 16 << 20;

    private const int LongestName = 255;

    private static readonly JsonSerializerOptions Written = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    // Every field that is written must be there, once and of its type; what an other program adds is passed over.
    private static readonly JsonSerializerOptions Read = new(JsonSerializerDefaults.Web)
    {
        AllowDuplicateProperties = false, RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true, NumberHandling = JsonNumberHandling.Strict,
    };

    /// <summary>Version of the format.</summary>
    public required int Format { get; init; }

    /// <summary>The step after which it was saved.</summary>
    public required long Step { get; init; }

    /// <summary>Files with length and SHA-256.</summary>
    public required IReadOnlyList<CheckpointFile> Files { get; init; }

    /// <summary>What made it: model, plugins and their hashes, options of converters.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; init; } = new Dictionary<string, string>();

    /// <summary>The file's text.</summary>
    internal string ToJson() => JsonSerializer.Serialize(this, Written);

    /// <summary>The format that a manifest says it has, whatever else it holds; 0 where it says none.</summary>
    /// <exception cref="JsonException">When it is no JSON.</exception>
    internal static long FormatOf(ReadOnlyMemory<byte> json)
    {
        using var document = JsonDocument.Parse(json);
        return document.RootElement.ValueKind == JsonValueKind.Object && document.RootElement.TryGetProperty("format", out var format)
            && format.ValueKind == JsonValueKind.Number && format.TryGetInt64(out var number) ? number : 0;
    }

    /// <summary>Reads a manifest of a format that this program knows.</summary>
    /// <exception cref="CorruptCheckpointException">With the first field that is of another type, out of its range, or contradicts another.</exception>
    internal static CheckpointManifest Parse(ReadOnlySpan<byte> json)
    {
        CheckpointManifest manifest;
        try
        {
            manifest = JsonSerializer.Deserialize<CheckpointManifest>(json, Read) ?? throw new JsonException("it is null");
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new CorruptCheckpointException($"its manifest is not the JSON that was expected: {e.Message}");
        }

        Require(manifest.Format is PlainFormat or CurrentFormat or HuggingFaceFormat, $"its manifest has format {manifest.Format}");
        Require(manifest.Step is >= 0 and <= LastStep, $"its manifest is of step {manifest.Step}, expected 0 to {LastStep}");
        Require(manifest.Files.Count > 0, "its manifest lists no files");
        Require(manifest.Metadata.All(m => m.Value is not null), "its manifest has metadata without a value");
        var listed = new HashSet<string>(StringComparer.Ordinal) { FileName, SealName };
        foreach (var file in manifest.Files)
        {
            Require(file is { Name.Length: > 0 }, "its manifest lists a file without a name");
            Require(Sha256().IsMatch(file.Sha256), $"its manifest lists {file.Name} without a SHA-256");
            Require(IsName(file.Name), $"its manifest names '{Visible(file.Name)}', which is not in the folder");
            Require(listed.Add(file.Name), $"its manifest lists {file.Name} twice");
            Require(file.Length >= 0, $"its manifest says that {file.Name} has {file.Length} bytes");
            Require(manifest.Format != PlainFormat || !SavePlan.IsNumbered(file.Name), $"its manifest lists {file.Name}, and is of format {PlainFormat}, which has no numbered files");
        }

        return manifest;
    }

    /// <summary>Whether it can be the name of a file in a folder, on every system.</summary>
    private static bool IsName(string name) =>
        name.Length <= LongestName && name is not ("." or "..") && !name.Any(c => char.IsControl(c) || char.IsSurrogate(c) || c is '/' or '\\' or ':');

    private static string Visible(string name) => string.Concat(name.Take(LongestName).Select(c => char.IsControl(c) || char.IsSurrogate(c) ? $"\\u{(int)c:x4}" : c.ToString()));

    private static void Require(bool holds, string otherwise)
    {
        if (!holds) throw new CorruptCheckpointException(otherwise);
    }

    [GeneratedRegex(@"^[0-9a-f]{64}\z")]
    private static partial Regex Sha256();
}

/// <summary>A file of a checkpoint.</summary>
/// <param name="Name">Its name in the folder.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Sha256">Lower-case hex.</param>
public sealed record CheckpointFile(string Name, long Length, string Sha256);
