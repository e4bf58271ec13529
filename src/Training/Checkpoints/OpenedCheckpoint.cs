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

    internal static OpenedCheckpoint Open(string folder)
    {
        CheckpointManifest manifest;
        try
        {
            manifest = JsonSerializer.Deserialize<CheckpointManifest>(File.ReadAllText(Path.Combine(folder, CheckpointManifest.FileName)), Json)
                ?? throw new CorruptCheckpointException("its manifest is empty");
        }
        catch (JsonException e)
        {
            throw new CorruptCheckpointException($"its manifest is not valid JSON: {e.Message}");
        }

        if (manifest.Format > CheckpointManifest.CurrentFormat)
            throw new TitanException(ExitCode.Data, $"checkpoint '{folder}' has format {manifest.Format}, this program reads up to {CheckpointManifest.CurrentFormat}; use a newer Titan");
        if (manifest.Files.Count == 0 || manifest.Files.Select(f => f.Name).Distinct().Count() != manifest.Files.Count) throw new CorruptCheckpointException("its manifest lists no files, or one twice");
        foreach (var file in manifest.Files)
        {
            if (file.Name != Path.GetFileName(file.Name) || file.Name is "." or "..") throw new CorruptCheckpointException($"its manifest names '{file.Name}', which is not in the folder");
            var info = new FileInfo(Path.Combine(folder, file.Name));
            if (!info.Exists) throw new CorruptCheckpointException($"{file.Name} is missing");
            if (info.LinkTarget is not null) throw new CorruptCheckpointException($"{file.Name} is a link");
            if (info.Length != file.Length) throw new CorruptCheckpointException($"{file.Name} has {info.Length} bytes, expected {file.Length}");
            using var stream = info.OpenRead();
            if (System.Convert.ToHexStringLower(SHA256.HashData(stream)) != file.Sha256) throw new CorruptCheckpointException($"the SHA-256 of {file.Name} differs");
        }

        var extra = Directory.EnumerateFiles(folder).Select(Path.GetFileName).FirstOrDefault(f => f != CheckpointManifest.FileName && manifest.Files.All(m => m.Name != f));
        return extra is null ? new OpenedCheckpoint(folder, manifest) : throw new CorruptCheckpointException($"{extra} is not in its manifest");
    }

    private static string Few(string what, List<string> names) =>
        names.Count == 0 ? "" : $"{names.Count} {what} ({string.Join(", ", names.Take(3))}{(names.Count > 3 ? ", ..." : "")}); ";
}
