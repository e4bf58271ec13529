using System.Security.Cryptography;
using System.Text.Json;
using Titan.Abstractions;

namespace Titan.Training.Checkpoints;

/// <summary>A checkpoint's bytes are not what its manifest says.</summary>
internal sealed class CorruptCheckpointException(string message) : Exception(message);

/// <summary>A checkpoint whose files all have the length and SHA-256 that its manifest records.</summary>
public sealed class OpenedCheckpoint
{
    private const long LargestManifest = 16 << 20;

    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web);

    private readonly IProcessGroup world;

    private OpenedCheckpoint(string folder, CheckpointManifest manifest, IProcessGroup world) => (Folder, Manifest, this.world) = (folder, manifest, world);

    /// <summary>Its folder.</summary>
    public string Folder { get; }

    /// <summary>Its manifest.</summary>
    public CheckpointManifest Manifest { get; }

    /// <summary>Whether it has a file, in one or in several.</summary>
    public bool Has(string file) => FilesOf(file).Any();

    /// <summary>A file's text. All ranks call it; rank 0 reads.</summary>
    public string ReadText(string file) => Agreement.OnFirst(world, () => File.ReadAllText(Path.Combine(Folder, file)));

    /// <summary>The tensors of a file, wherever their parts are.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when a header is none or the parts of a tensor contradict each other.</exception>
    public IReadOnlyDictionary<string, StoredTensor> Tensors(string file)
    {
        var tensors = new Dictionary<string, StoredTensor>(StringComparer.Ordinal);
        foreach (var path in FilesOf(file).DefaultIfEmpty(file).Select(f => Path.Combine(Folder, f)))
        {
            foreach (var (name, entry) in SafetensorsFile.ReadHeader(path))
            {
                if (!tensors.TryGetValue(name, out var tensor)) tensors[name] = tensor = new StoredTensor(entry.Type, entry.Layout.GlobalShape, []);
                if (tensor.Type != entry.Type || !tensor.Shape.SequenceEqual(entry.Layout.GlobalShape))
                    throw new TitanException(ExitCode.Data, $"checkpoint '{Folder}' ({file}): the parts of {name} are of different shapes or dtypes; choose another step");
                tensor.Parts.Add((path, entry));
            }
        }

        return tensors;
    }

    /// <summary>
    /// Copies a file's tensors into this rank's parts of tensors of the same names and shapes, however they were split when they were saved. All ranks call it; each reads what
    /// its own parts need.
    /// </summary>
    /// <exception cref="TitanException">
    /// With <see cref="ExitCode.Data"/>, on all ranks alike, when names or shapes differ or a part is in no file, listing the first; then nothing was copied.
    /// </exception>
    public void ReadInto(string file, IReadOnlyList<TensorPart> targets)
    {
        try
        {
            IReadOnlyList<PartRead> reads = [];
            Agreement.All(world, () =>
            {
                var stored = Tensors(file);
                ThrowIfDifferent(file, stored, targets);
                reads = [.. targets.SelectMany(t => PartRead.Plan(stored[t.Name], t, missing => new TitanException(ExitCode.Data,
                    $"checkpoint '{Folder}' ({file}) is incomplete: {missing} of {t.Name} [{string.Join(", ", t.Layout.GlobalShape)}] is in none of its files; choose another step")))];
            });
            Agreement.All(world, () => PartRead.Run(reads));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Unreadable(Folder, e);
        }
    }

    /// <summary>Opens a folder whose every byte is what was saved.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="step">The step that its name says, null when the name says nothing.</param>
    /// <param name="world">All ranks; each checks a share of the bytes.</param>
    /// <exception cref="CorruptCheckpointException">When it is not.</exception>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when it cannot be told: a newer format, or the disk does not read.</exception>
    internal static OpenedCheckpoint Open(string folder, long? step, IProcessGroup world)
    {
        try
        {
            var manifest = Agreement.OnFirst(world, () =>
            {
                var read = ReadManifest(folder);
                if (step is not null && read.Step != step) throw new CorruptCheckpointException($"its manifest is of step {read.Step}");
                CheckListing(folder, read);
                return read;
            });
            Agreement.All(world, () => CheckHashes(folder, Share(manifest.Files, world)));
            return new OpenedCheckpoint(folder, manifest, world);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Unreadable(folder, e);
        }
    }

    /// <summary>The disk may only be away: nothing is said about the checkpoint, and it stays where it is.</summary>
    private static TitanException Unreadable(string folder, Exception e) =>
        new(ExitCode.Data, $"checkpoint '{folder}' cannot be read: {e.Message}; nothing was changed, try again or choose another step with checkpoint.load_step", e);

    private IEnumerable<string> FilesOf(string file) => Manifest.Files.Select(f => f.Name).Where(f => SavePlan.IsPartOf(file, f));

    private void ThrowIfDifferent(string file, IReadOnlyDictionary<string, StoredTensor> stored, IReadOnlyList<TensorPart> targets)
    {
        var names = targets.Select(t => t.Name).ToHashSet();
        var missing = names.Where(n => !stored.ContainsKey(n)).ToList();
        var unexpected = stored.Keys.Where(k => !names.Contains(k)).ToList();
        var different = targets.Where(t => stored.TryGetValue(t.Name, out var s) && !s.Shape.SequenceEqual(t.Layout.GlobalShape))
            .Select(t => $"{t.Name} is [{string.Join(", ", stored[t.Name].Shape)}], expected [{string.Join(", ", t.Layout.GlobalShape)}]").ToList();
        if (missing.Count + unexpected.Count + different.Count > 0)
            throw new TitanException(ExitCode.Data,
                $"checkpoint '{Folder}' ({file}) does not fit this model: {Few("missing", missing)}{Few("unexpected", unexpected)}{Few("of another shape", different)}use the model.flavor that it was saved with");
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
            return document.Deserialize<CheckpointManifest>(Json) is { Files: not null, Metadata: not null, Format: CheckpointManifest.PlainFormat or CheckpointManifest.CurrentFormat } manifest
                ? manifest
                : throw new CorruptCheckpointException("its manifest lacks format, files or metadata");
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new CorruptCheckpointException($"its manifest is not the JSON that was expected: {e.Message}");
        }
    }

    private static void CheckListing(string folder, CheckpointManifest manifest)
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
        }

        if (Directory.EnumerateFiles(folder).Select(f => Path.GetFileName(f)).FirstOrDefault(f => !listed.Contains(f)) is { } extra)
            throw new CorruptCheckpointException($"{extra} is not in its manifest");
    }

    private static void CheckHashes(string folder, IEnumerable<CheckpointFile> files)
    {
        foreach (var file in files)
        {
            using var stream = File.OpenRead(Path.Combine(folder, file.Name));
            if (System.Convert.ToHexStringLower(SHA256.HashData(stream)) != file.Sha256) throw new CorruptCheckpointException($"the SHA-256 of {file.Name} differs");
        }
    }

    /// <summary>This rank's share of the files: the largest first, each to whoever has least so far. No file is read for it by two.</summary>
    private static IEnumerable<CheckpointFile> Share(IReadOnlyList<CheckpointFile> files, IProcessGroup world)
    {
        var bytes = new long[world.Size];
        foreach (var file in files.OrderByDescending(f => f.Length).ThenBy(f => f.Name, StringComparer.Ordinal))
        {
            var least = Array.IndexOf(bytes, bytes.Min());
            bytes[least] += file.Length;
            if (least == world.Rank) yield return file;
        }
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
