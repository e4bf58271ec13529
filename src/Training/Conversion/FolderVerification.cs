using Titan.Abstractions;
using Titan.Training.Adapters;
using Titan.Training.Checkpoints;
using Titan.Training.Files;
using Titan.Training.HuggingFace;

namespace Titan.Training.Conversion;

/// <summary>Reads all of a folder of weights: every file whole, every hash, every number finite, every tensor complete, and those of the model that is asked for.</summary>
internal static class FolderVerification
{
    private const int Chunk = 1 << 22;

    /// <summary>Verifies.</summary>
    /// <param name="summary">The folder.</param>
    /// <param name="model">The model that it should be of; null for any.</param>
    /// <param name="progress">Hears what is done, and of how many bytes it consists.</param>
    /// <param name="note">Hears what the user should know.</param>
    /// <returns>What was verified, in words.</returns>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> and what is wrong.</exception>
    public static string Run(FolderSummary summary, WholeModel? model, Func<string, long, Action<long>> progress, Action<string> note) =>
        summary.IsHuggingFace ? Theirs(summary.Path, model, progress, note) : Ours(summary, model, progress);

    private static string Ours(FolderSummary summary, WholeModel? model, Func<string, long, Action<long>> progress)
    {
        var opened = CheckpointStore.OpenFolder(summary.Path, null, progress("reading", summary.Files.Where(f => f.Name.EndsWith(".safetensors", StringComparison.Ordinal)).Sum(f => f.Bytes)));
        var names = summary.Tensors.Select(t => t.File).Distinct().Select(SavePlan.WholeName).Distinct().ToList();
        foreach (var (name, stored) in names.SelectMany(opened.Tensors))
            _ = PartRead.Plan(stored, new TensorPart(name, TorchSharp.torch.empty(0), ShardLayout.Whole(stored.Shape)), missing => new TitanException(ExitCode.Data, $"'{summary.Path}': {missing} of {name} is in none of its files"));
        if (model is not null && opened.Has(ToHuggingFace.ModelFile))
        {
            var stored = opened.Tensors(ToHuggingFace.ModelFile);
            model.Refuse(summary.Path, stored, StoredAdapters.Of(opened.Manifest.Metadata, stored));
        }

        return $"{opened.Manifest.Files.Count} files have their SHA-256, {summary.Tensors.Select(t => (t.Name, SavePlan.WholeName(t.File))).Distinct().Count()} tensors are whole and finite";
    }

    private static string Theirs(string path, WholeModel? model, Func<string, long, Action<long>> progress, Action<string> note)
    {
        var folder = HuggingFaceFolder.Open(path, "PATH");
        if (folder.Problems.Count > 0) throw new TitanException(ExitCode.Data, $"'{path}' is damaged:{string.Concat(folder.Problems.Take(20).Select(p => Environment.NewLine + "  " + p))}");
        if (model is not null) HuggingFaceWeights.Refuse(folder, model.HuggingFace, $"'{path}' is not of model {model.Name}", note, quantised: true);
        var hashed = 0;
        if (CheckpointKind.FormatOf(path) is not null)
        {
            var files = OpenedCheckpoint.Peek(path).Manifest.Files;
            var read = progress("hashing", files.Sum(f => f.Length));
            // Which bytes are of which kind, the manifest's reader knows too: it looks for NaN and infinity on the way.
            foreach (var file in files) Check(path, file, read);
            hashed = files.Count;
        }
        else
        {
            var read = progress("reading", folder.Bytes);
            foreach (var (name, stored) in folder.Tensors.OrderBy(t => t.Value.Path, StringComparer.Ordinal).ThenBy(t => t.Value.Entry.Begin))
                if (HasNonFinite(stored, read)) throw new TitanException(ExitCode.Data, $"'{path}': {name} ({Path.GetFileName(stored.Path)}) holds NaN or infinity");
        }

        return $"{folder.Files.Count} file{(folder.Files.Count == 1 ? "" : "s")} with {folder.Tensors.Count} tensors are whole and finite{(hashed > 0 ? $", {hashed} files have their SHA-256" : "")}{(folder.Config is null ? $"; {HuggingFaceFolder.ConfigName} is missing" : "")}";
    }

    private static void Check(string path, CheckpointFile file, Action<long> read)
    {
        try
        {
            CheckedFile.Read(path, file, read);
        }
        catch (CorruptCheckpointException e)
        {
            throw new TitanException(ExitCode.Data, $"'{path}' is not as it was written: {e.Message}", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new TitanException(ExitCode.Data, $"'{Path.Combine(path, file.Name)}' cannot be read: {e.Message}", e);
        }
    }

    private static bool HasNonFinite(StoredForeign stored, Action<long> read)
    {
        using var file = RegularFile.OpenRead(stored.Path);
        file.Position = stored.Entry.Begin;
        var buffer = new byte[Chunk];
        for (var left = stored.Entry.Length; left > 0;)
        {
            var length = (int)Math.Min(Chunk, left);
            file.ReadExactly(buffer, 0, length);
            if (StoredFloats.HasNonFinite(stored.Entry.Type, buffer.AsSpan(0, length))) return true;
            read(length);
            left -= length;
        }

        return false;
    }
}
