using System.Security.Cryptography;
using System.Text.Json;
using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Training.Checkpoints;

/// <summary>A checkpoint's bytes are not what its manifest says.</summary>
internal sealed class CorruptCheckpointException(string message) : Exception(message);

/// <summary>A checkpoint whose files all have the length and SHA-256 that its manifest records.</summary>
public sealed class OpenedCheckpoint
{
    private const long LargestManifest = 16 << 20;

    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web);

    private OpenedCheckpoint(string folder, CheckpointManifest manifest) => (Folder, Manifest) = (folder, manifest);

    /// <summary>Its folder.</summary>
    public string Folder { get; }

    /// <summary>Its manifest.</summary>
    public CheckpointManifest Manifest { get; }

    /// <summary>Whether it has a file.</summary>
    public bool Has(string file) => Manifest.Files.Any(f => f.Name == file);

    /// <summary>A file's text.</summary>
    public string ReadText(string file) => File.ReadAllText(Path.Combine(Folder, file));

    /// <summary>The tensors of a file.</summary>
    public IReadOnlyDictionary<string, SafetensorsFile.Entry> Entries(string file) => SafetensorsFile.ReadHeader(Path.Combine(Folder, file));

    /// <summary>Copies a file's tensors into tensors of the same names and shapes.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when names or shapes differ, listing the first; then nothing was copied.</exception>
    public void ReadInto(string file, IReadOnlyList<(string Name, Tensor Tensor)> targets)
    {
        var entries = Entries(file);
        var names = targets.Select(t => t.Name).ToHashSet();
        var missing = names.Where(n => !entries.ContainsKey(n)).ToList();
        var unexpected = entries.Keys.Where(k => !names.Contains(k)).ToList();
        var different = targets.Where(t => entries.TryGetValue(t.Name, out var e) && !e.Shape.AsSpan().SequenceEqual(t.Tensor.shape))
            .Select(t => $"{t.Name} is [{string.Join(", ", entries[t.Name].Shape)}], expected [{string.Join(", ", t.Tensor.shape)}]").ToList();
        if (missing.Count + unexpected.Count + different.Count > 0)
            throw new TitanException(ExitCode.Data,
                $"checkpoint '{Folder}' ({file}) does not fit this model: {Few("missing", missing)}{Few("unexpected", unexpected)}{Few("of another shape", different)}use the model.flavor that it was saved with");
        foreach (var (name, tensor) in targets) SafetensorsFile.ReadInto(Path.Combine(Folder, file), entries[name], tensor);
    }

    /// <summary>Opens a folder whose every byte is what was saved.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="step">The step that its name says, null when the name says nothing.</param>
    /// <exception cref="CorruptCheckpointException">When it is not.</exception>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when it cannot be told: a newer format, or the disk does not read.</exception>
    internal static OpenedCheckpoint Open(string folder, long? step)
    {
        try
        {
            var manifest = ReadManifest(folder);
            if (step is not null && manifest.Step != step) throw new CorruptCheckpointException($"its manifest is of step {manifest.Step}");
            CheckFiles(folder, manifest);
            return new OpenedCheckpoint(folder, manifest);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The disk may only be away: nothing is said about the checkpoint, and it stays where it is.
            throw new TitanException(ExitCode.Data, $"checkpoint '{folder}' cannot be read: {e.Message}; nothing was changed, try again or choose another step with checkpoint.load_step", e);
        }
    }

    private static CheckpointManifest ReadManifest(string folder)
    {
        var bytes = File.ReadAllBytes(Regular(folder, CheckpointManifest.FileName, LargestManifest).FullName);
        var seal = new FileInfo(Path.Combine(folder, CheckpointManifest.SealName));
        var isSealed = seal.Exists && File.ReadAllText(Regular(folder, seal.Name, 1024).FullName) == Seal(bytes);
        if (seal.Exists && !isSealed) throw new CorruptCheckpointException("the SHA-256 of its manifest differs");
        try
        {
            using var document = JsonDocument.Parse(bytes);
            if (document.RootElement.TryGetProperty("format", out var format) && format.TryGetInt64(out var number) && number > CheckpointManifest.CurrentFormat)
                throw new TitanException(ExitCode.Data, $"checkpoint '{folder}' has format {number}, this program reads up to {CheckpointManifest.CurrentFormat}; use a newer Titan");
            if (!isSealed) throw new CorruptCheckpointException($"{CheckpointManifest.SealName} is missing");
            return document.Deserialize<CheckpointManifest>(Json) is { Files: not null, Metadata: not null, Format: CheckpointManifest.CurrentFormat } manifest
                ? manifest
                : throw new CorruptCheckpointException("its manifest lacks format, files or metadata");
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new CorruptCheckpointException($"its manifest is not the JSON that was expected: {e.Message}");
        }
    }

    private static void CheckFiles(string folder, CheckpointManifest manifest)
    {
        if (manifest.Files.Count == 0) throw new CorruptCheckpointException("its manifest lists no files");
        var listed = new HashSet<string>(StringComparer.Ordinal) { CheckpointManifest.FileName, CheckpointManifest.SealName };
        foreach (var file in manifest.Files)
        {
            if (file is not { Name.Length: > 0, Sha256.Length: 64 }) throw new CorruptCheckpointException($"its manifest lists {file?.Name ?? "a file"} without name or SHA-256");
            if (file.Name != Path.GetFileName(file.Name) || file.Name is "." or "..") throw new CorruptCheckpointException($"its manifest names '{file.Name}', which is not in the folder");
            if (!listed.Add(file.Name)) throw new CorruptCheckpointException($"its manifest lists {file.Name} twice");
            var info = Regular(folder, file.Name, long.MaxValue);
            if (info.Length != file.Length) throw new CorruptCheckpointException($"{file.Name} has {info.Length} bytes, expected {file.Length}");
            using var stream = info.OpenRead();
            if (System.Convert.ToHexStringLower(SHA256.HashData(stream)) != file.Sha256) throw new CorruptCheckpointException($"the SHA-256 of {file.Name} differs");
        }

        if (Directory.EnumerateFiles(folder).Select(f => Path.GetFileName(f)).FirstOrDefault(f => !listed.Contains(f)) is { } extra)
            throw new CorruptCheckpointException($"{extra} is not in its manifest");
    }

    /// <summary>A file of the folder itself: what a link points to may be anything, and a pipe never ends.</summary>
    private static FileInfo Regular(string folder, string name, long largest)
    {
        var info = new FileInfo(Path.Combine(folder, name));
        if (info.LinkTarget is not null) throw new CorruptCheckpointException($"{name} is a link");
        if (!info.Exists) throw new CorruptCheckpointException($"{name} is missing");
        return info.Length <= largest ? info : throw new CorruptCheckpointException($"{name} has {info.Length} bytes, expected {largest} at most");
    }

    /// <summary>The line that seals a manifest.</summary>
    internal static string Seal(byte[] manifest) => $"{System.Convert.ToHexStringLower(SHA256.HashData(manifest))}  {CheckpointManifest.FileName}\n";

    private static string Few(string what, List<string> names) =>
        names.Count == 0 ? "" : $"{names.Count} {what} ({string.Join(", ", names.Take(3))}{(names.Count > 3 ? ", ..." : "")}); ";
}
