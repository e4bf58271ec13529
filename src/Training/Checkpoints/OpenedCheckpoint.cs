using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Titan.Abstractions;
using Titan.Distributed;
using Titan.Training.Files;

namespace Titan.Training.Checkpoints;

/// <summary>A checkpoint's bytes are not what its manifest says.</summary>
internal sealed class CorruptCheckpointException(string message) : Exception(message);

/// <summary>A checkpoint whose files all have the length and SHA-256 that its manifest records.</summary>
public sealed class OpenedCheckpoint
{
    /// <summary>Bytes that a file of text has at most.</summary>
    internal const int LargestText = 256 << 20;

    private const int LargestSeal = 1024;

    private readonly IProcessGroup world;

    private OpenedCheckpoint(string folder, CheckpointManifest manifest, IProcessGroup world) => (Folder, Manifest, this.world) = (folder, manifest, world);

    /// <summary>Its folder.</summary>
    public string Folder { get; }

    /// <summary>Its manifest.</summary>
    public CheckpointManifest Manifest { get; }

    /// <summary>Whether it holds weights in Hugging Face's layout, and so no checkpoint to resume. Its files are not looked at.</summary>
    public bool IsHuggingFace => Manifest.Format == CheckpointManifest.HuggingFaceFormat;

    /// <summary>Whether it has a file, in one or in several.</summary>
    public bool Has(string file) => FilesOf(file).Any();

    /// <summary>A file's text. All ranks call it; rank 0 reads.</summary>
    public string ReadText(string file) => Agreement.OnFirst(world, () => Encoding.UTF8.GetString(RegularFile.ReadAllBytes(Path.Combine(Folder, file), LargestText, followLinks: false)));

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

    /// <summary>Copies a file's tensors into this rank's parts of tensors of the same names and shapes: <see cref="Prepare"/>, and then its read.</summary>
    /// <exception cref="TitanException">As <see cref="Prepare"/>; then nothing was copied.</exception>
    public void ReadInto(string file, IReadOnlyList<TensorPart> targets) => Prepare(file, targets)();

    /// <summary>
    /// Finds a file's tensors for this rank's parts of tensors of the same names and shapes, however they were split when they were saved. All ranks call it, and then what it
    /// returns; each reads what its own parts need.
    /// </summary>
    /// <returns>Copies them.</returns>
    /// <exception cref="TitanException">
    /// With <see cref="ExitCode.Data"/>, on all ranks alike, when names, shapes or kinds of numbers differ or a part is in no file, listing the first.
    /// </exception>
    public Action Prepare(string file, IReadOnlyList<TensorPart> targets)
    {
        IReadOnlyList<PartRead> reads = [];
        Readable(() => Agreement.All(world, () =>
        {
            var stored = Tensors(file);
            ThrowIfDifferent(file, stored, targets);
            reads = [.. targets.SelectMany(t => PartRead.Plan(stored[t.Name], t, missing => new TitanException(ExitCode.Data,
                $"checkpoint '{Folder}' ({file}) is incomplete: {missing} of {t.Name} [{string.Join(", ", t.Layout.GlobalShape)}] is in none of its files; choose another step")))];
        }));
        return () => Readable(() => Agreement.All(world, () => PartRead.Run(reads)));
    }

    /// <summary>Opens a folder whose every byte is what was saved.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="step">The step that its name says, null when the name says nothing.</param>
    /// <param name="world">All ranks; each checks a share of the bytes.</param>
    /// <param name="only">A file of tensors; the bytes of all others are not looked at. Null for all.</param>
    /// <param name="progress">Called with the bytes of each chunk that is checked.</param>
    /// <exception cref="CorruptCheckpointException">When it is not.</exception>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when it cannot be told: a newer format, or the disk does not read.</exception>
    internal static OpenedCheckpoint Open(string folder, long? step, IProcessGroup world, string? only = null, Action<long>? progress = null)
    {
        try
        {
            var manifest = Agreement.OnFirst(world, () =>
            {
                var read = ReadManifest(folder);
                if (step is not null && read.Step != step) throw new CorruptCheckpointException($"its manifest is of step {read.Step}");
                if (read.Format != CheckpointManifest.HuggingFaceFormat) CheckListing(folder, read);
                return read;
            });
            // Weights in another program's layout are not resumed, and may have got a file or a field more since.
            if (manifest.Format != CheckpointManifest.HuggingFaceFormat) Agreement.All(world, () => CheckedFile.Share([.. manifest.Files.Where(f => only is null || SavePlan.IsPartOf(only, f.Name))], f => (f.Name, f.Length), world).ToList().ForEach(f => CheckedFile.Read(folder, f, progress)));
            return new OpenedCheckpoint(folder, manifest, world);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Unreadable(folder, e);
        }
    }

    /// <summary>A folder whose manifest is whole, and nothing else of it believed: for showing what it says.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when it has no such manifest.</exception>
    internal static OpenedCheckpoint Peek(string folder)
    {
        try
        {
            return new OpenedCheckpoint(folder, ReadManifest(folder), new SingleRankGroup("world"));
        }
        catch (Exception e) when (e is CorruptCheckpointException or IOException or UnauthorizedAccessException)
        {
            throw new TitanException(ExitCode.Data, $"checkpoint '{folder}' is damaged: {e.Message}", e);
        }
    }

    /// <summary>The disk may only be away: nothing is said about the checkpoint, and it stays where it is.</summary>
    private static TitanException Unreadable(string folder, Exception e) =>
        new(ExitCode.Data, $"checkpoint '{folder}' cannot be read: {e.Message}; nothing was changed, try again or choose another step with checkpoint.load_step", e);

    private void Readable(Action read)
    {
        try
        {
            read();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Unreadable(Folder, e);
        }
    }

    private IEnumerable<string> FilesOf(string file) => Manifest.Files.Select(f => f.Name).Where(f => SavePlan.IsPartOf(file, f));

    private void ThrowIfDifferent(string file, IReadOnlyDictionary<string, StoredTensor> stored, IReadOnlyList<TensorPart> targets)
    {
        var names = targets.Select(t => t.Name).ToHashSet();
        var missing = names.Where(n => !stored.ContainsKey(n)).ToList();
        var unexpected = stored.Keys.Where(k => !names.Contains(k)).ToList();
        var different = targets.Where(t => stored.TryGetValue(t.Name, out var s) && !s.Shape.SequenceEqual(t.Layout.GlobalShape))
            .Select(t => $"{t.Name} is [{string.Join(", ", stored[t.Name].Shape)}], expected [{string.Join(", ", t.Layout.GlobalShape)}]").ToList();
        var kinds = targets.Where(t => stored.TryGetValue(t.Name, out var s) && s.Type != t.Tensor.dtype && !(Finiteness.IsFloat(s.Type) && Finiteness.IsFloat(t.Tensor.dtype)))
            .Select(t => $"{t.Name} is {stored[t.Name].Type}, expected {t.Tensor.dtype}").ToList();
        if (kinds.Count > 0)
            throw new TitanException(ExitCode.Data, $"checkpoint '{Folder}' ({file}) is not what this program saves: {Few("of another kind of numbers", kinds)}choose another step");
        if (missing.Count + unexpected.Count + different.Count > 0)
            throw new TitanException(ExitCode.Data,
                $"checkpoint '{Folder}' ({file}) does not fit this model: {Few("missing", missing)}{Few("unexpected", unexpected)}{Few("of another shape", different)}use the model.flavor that it was saved with");
    }

    private static CheckpointManifest ReadManifest(string folder)
    {
        var bytes = ReadSmall(folder, CheckpointManifest.FileName, CheckpointManifest.Largest);
        var hasSeal = Path.Exists(Path.Combine(folder, CheckpointManifest.SealName));
        var isSealed = hasSeal && Encoding.UTF8.GetString(ReadSmall(folder, CheckpointManifest.SealName, LargestSeal)) == Seal(bytes);
        if (hasSeal && !isSealed) throw new CorruptCheckpointException("the SHA-256 of its manifest differs");
        try
        {
            if (CheckpointManifest.FormatOf(bytes) is var format and > CheckpointManifest.HuggingFaceFormat)
                throw new TitanException(ExitCode.Data, $"checkpoint '{folder}' has format {format}, this program reads up to {CheckpointManifest.HuggingFaceFormat}; use a newer Titan");
        }
        catch (JsonException e)
        {
            throw new CorruptCheckpointException($"its manifest is no JSON: {e.Message}");
        }

        return isSealed ? CheckpointManifest.Parse(bytes) : throw new CorruptCheckpointException($"{CheckpointManifest.SealName} is missing");
    }

    private static void CheckListing(string folder, CheckpointManifest manifest)
    {
        foreach (var file in manifest.Files)
        {
            var info = Regular(folder, file.Name);
            if (info.Length != file.Length) throw new CorruptCheckpointException($"{file.Name} has {info.Length} bytes, expected {file.Length}");
        }

        var listed = manifest.Files.Select(f => f.Name).ToHashSet(StringComparer.Ordinal);
        if (Directory.EnumerateFiles(folder).Select(f => Path.GetFileName(f)).FirstOrDefault(f => f is not (CheckpointManifest.FileName or CheckpointManifest.SealName) && !listed.Contains(f)) is { } extra)
            throw new CorruptCheckpointException($"{extra} is not in its manifest");
    }

    private static byte[] ReadSmall(string folder, string name, int largest)
    {
        var length = Regular(folder, name).Length;
        return length <= largest
            ? RegularFile.ReadAllBytes(Path.Combine(folder, name), largest, followLinks: false)
            : throw new CorruptCheckpointException($"{name} has {length} bytes, expected {largest} at most");
    }

    /// <summary>A file of the folder itself: what a link points to may be anything, and a pipe never ends.</summary>
    private static FileInfo Regular(string folder, string name)
    {
        var info = new FileInfo(Path.Combine(folder, name));
        try
        {
            RegularFile.ThrowIfOther(info.FullName, followLinks: false);
        }
        catch (IOException e)
        {
            throw new CorruptCheckpointException($"{name} is not what was saved: {e.Message}");
        }

        return info.Exists ? info : throw new CorruptCheckpointException($"{name} is missing");
    }

    /// <summary>The line that seals a manifest.</summary>
    internal static string Seal(byte[] manifest) => $"{System.Convert.ToHexStringLower(SHA256.HashData(manifest))}  {CheckpointManifest.FileName}\n";

    private static string Few(string what, List<string> names) =>
        names.Count == 0 ? "" : $"{names.Count} {what} ({string.Join(", ", names.Take(3))}{(names.Count > 3 ? ", ..." : "")}); ";
}
