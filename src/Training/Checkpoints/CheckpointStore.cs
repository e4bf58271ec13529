using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Training.Checkpoints;

/// <summary>What a checkpoint holds.</summary>
/// <param name="Tensors">Files of tensors, by file name.</param>
/// <param name="Texts">Files of text, by file name.</param>
/// <param name="Metadata">What made it.</param>
public sealed record CheckpointContents(
    IReadOnlyDictionary<string, IReadOnlyList<(string Name, Tensor Tensor)>> Tensors, IReadOnlyDictionary<string, string> Texts, IReadOnlyDictionary<string, string> Metadata);

/// <summary>
/// The folder of <c>step-N</c> folders. A checkpoint is written beside its final place, synced, and renamed: the rename is the commit, so at every moment the newest
/// committed checkpoint is whole. Damaged ones are set aside, never deleted.
/// </summary>
public sealed partial class CheckpointStore : IDisposable
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    private readonly string root;
    private readonly int keep;
    private readonly Action<string> warn;
    private readonly FileStream? ownership;

    /// <summary>Opens the folder.</summary>
    /// <param name="root">The folder; made when it is missing and <paramref name="writable"/>.</param>
    /// <param name="keep">Checkpoints to keep, 0 for all.</param>
    /// <param name="writable">Whether checkpoints will be saved: takes the folder's lock and removes what an interrupted save left.</param>
    /// <param name="warn">Receives warnings.</param>
    public CheckpointStore(string root, int keep, bool writable, Action<string> warn)
    {
        (this.root, this.keep, this.warn) = (root, keep, warn);
        if (!writable) return;
        try
        {
            Directory.CreateDirectory(root);
            ownership = Lock();
            foreach (var left in Directory.EnumerateDirectories(root, ".*.tmp")) Directory.Delete(left, recursive: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new TitanException(ExitCode.Data, $"checkpoint folder '{root}' cannot be written: {e.Message}; set job.dump_folder or checkpoint.folder to a folder that can", e);
        }
    }

    /// <summary>The committed steps, newest first.</summary>
    public IReadOnlyList<long> Steps => Directory.Exists(root)
        ? [.. Directory.EnumerateDirectories(root).Select(d => StepName().Match(Path.GetFileName(d))).Where(m => m.Success)
            .Select(m => long.Parse(m.Groups[1].Value, CultureInfo.InvariantCulture)).Where(s => File.Exists(Path.Combine(Folder(s), CheckpointManifest.FileName))).OrderDescending()]
        : [];

    /// <summary>The folder of a step.</summary>
    public string Folder(long step) => Path.Combine(root, $"step-{step}");

    /// <summary>Saves a checkpoint and removes those beyond the ones to keep.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when the disk is full or refuses; what was there before is untouched.</exception>
    public void Save(long step, CheckpointContents contents)
    {
        var temporary = Path.Combine(root, $".step-{step}.{Guid.NewGuid():N}.tmp");
        try
        {
            Preflight(contents);
            Directory.CreateDirectory(temporary);
            Failpoint.Hit("before-first-byte");
            var files = new List<CheckpointFile>();
            foreach (var (name, tensors) in contents.Tensors)
                files.Add(Describe(name, SafetensorsFile.Write(Path.Combine(temporary, name), tensors)));
            foreach (var (name, text) in contents.Texts)
                files.Add(Describe(name, WriteText(Path.Combine(temporary, name), text)));
            Failpoint.Hit("before-manifest");
            var manifest = new CheckpointManifest { Step = step, Files = files, Metadata = contents.Metadata };
            WriteText(Path.Combine(temporary, CheckpointManifest.FileName), JsonSerializer.Serialize(manifest, Json));
            DirectorySync.Flush(temporary);
            Failpoint.Hit("before-rename");
            Commit(temporary, Folder(step));
            Failpoint.Hit("after-rename");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            TryDelete(temporary);
            throw new TitanException(ExitCode.Data, $"checkpoint step-{step} could not be saved in '{root}': {e.Message}; earlier checkpoints are untouched", e);
        }

        Retain();

        CheckpointFile Describe(string name, string hash) => new(name, new FileInfo(Path.Combine(temporary, name)).Length, hash);
    }

    /// <summary>
    /// The newest checkpoint that is whole, or null when there is none. A damaged one is renamed to <c>step-N.corrupt</c> with a warning, and the one before it is tried.
    /// </summary>
    public OpenedCheckpoint? OpenNewest()
    {
        var steps = Steps;
        for (var i = 0; i < steps.Count; i++)
        {
            try
            {
                return OpenedCheckpoint.Open(Folder(steps[i]));
            }
            catch (CorruptCheckpointException e)
            {
                var aside = Folder(steps[i]) + ".corrupt";
                for (var n = 2; Directory.Exists(aside); n++) aside = Folder(steps[i]) + $".corrupt{n}";
                Directory.Move(Folder(steps[i]), aside);
                warn($"checkpoint step-{steps[i]} is damaged ({e.Message}) and was renamed to {Path.GetFileName(aside)}; " +
                    (i + 1 < steps.Count ? $"falling back to step-{steps[i + 1]}: {steps[i] - steps[i + 1]} steps are lost" : "there is no earlier one: training starts over"));
            }
        }

        if (steps.Count == 0 && Directory.Exists(root) && Foreign(root) is { } foreign)
            throw new TitanException(ExitCode.Data, $"'{root}' holds {foreign}, which is not a checkpoint of this program; choose another checkpoint.folder");
        return null;
    }

    /// <summary>A given step.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when it is missing or damaged; there is no falling back from a step that was asked for.</exception>
    public OpenedCheckpoint Open(long step)
    {
        if (!Steps.Contains(step))
            throw new TitanException(ExitCode.Data, $"checkpoint.load_step = {step}: '{root}' has no such checkpoint; it has: {(Steps.Count == 0 ? "none" : string.Join(", ", Steps))}");
        return OpenFolder(Folder(step));
    }

    /// <summary>A checkpoint anywhere.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/>.</exception>
    public static OpenedCheckpoint OpenFolder(string folder)
    {
        if (!Directory.Exists(folder)) throw new TitanException(ExitCode.Data, $"checkpoint '{folder}' does not exist");
        if (!File.Exists(Path.Combine(folder, CheckpointManifest.FileName)))
            throw new TitanException(ExitCode.Data, $"'{folder}' has no {CheckpointManifest.FileName}{(Foreign(folder) is { } f ? $" but holds {f}" : "")}: expected a step-N folder that this program saved");
        try
        {
            return OpenedCheckpoint.Open(folder);
        }
        catch (CorruptCheckpointException e)
        {
            throw new TitanException(ExitCode.Data, $"checkpoint '{folder}' is damaged: {e.Message}; choose another step", e);
        }
    }

    /// <inheritdoc />
    public void Dispose() => ownership?.Dispose();

    private FileStream Lock()
    {
        var path = Path.Combine(root, ".lock");
        try
        {
            // Held open for as long as the process lives: a crash frees it.
            var file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read);
            file.SetLength(0);
            file.Write(Encoding.ASCII.GetBytes(Environment.ProcessId.ToString(CultureInfo.InvariantCulture)));
            file.Flush();
            return file;
        }
        catch (IOException)
        {
            throw new TitanException(ExitCode.Data, $"checkpoint folder '{root}' is in use by another run (its pid is in {path}); wait for it, or choose another job.dump_folder");
        }
    }

    private void Preflight(CheckpointContents contents)
    {
        var needed = (long)(1.2 * contents.Tensors.Values.SelectMany(t => t).Sum(t => t.Tensor.numel() * t.Tensor.element_size()));
        var free = new DriveInfo(Path.GetFullPath(root)).AvailableFreeSpace;
        if (free < needed) throw new IOException($"it needs {needed / 1e6:F0} MB, {free / 1e6:F0} MB are free");
    }

    private void Commit(string temporary, string final)
    {
        string? old = null;
        if (Directory.Exists(final))
        {
            old = Path.Combine(root, $".replaced.{Guid.NewGuid():N}.tmp");
            Directory.Move(final, old);
        }

        Directory.Move(temporary, final);
        DirectorySync.Flush(root);
        if (old is not null) TryDelete(old);
    }

    private void Retain()
    {
        if (keep == 0) return;
        foreach (var step in Steps.Skip(keep))
        {
            var doomed = Path.Combine(root, $".delete-{step}.{Guid.NewGuid():N}.tmp");
            try
            {
                Directory.Move(Folder(step), doomed);
                Failpoint.Hit("during-retention");
                Directory.Delete(doomed, recursive: true);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                warn($"checkpoint step-{step} could not be removed: {e.Message}");
            }
        }
    }

    private static string WriteText(string path, string text)
    {
        using var file = new SafetensorsFile.HashedFile(path);
        var bytes = Encoding.UTF8.GetBytes(text);
        file.Write(bytes.AsSpan(0, bytes.Length / 2));
        if (path.EndsWith(CheckpointManifest.FileName, StringComparison.Ordinal)) Failpoint.Hit("mid-manifest");
        file.Write(bytes.AsSpan(bytes.Length / 2));
        return file.Finish();
    }

    private static void TryDelete(string folder)
    {
        try
        {
            if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The next start removes it.
            Debug.WriteLine(e);
        }
    }

    private static string? Foreign(string folder) =>
        Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Select(Path.GetFileName)
            .FirstOrDefault(f => f!.EndsWith(".distcp", StringComparison.Ordinal) || f.EndsWith(".pt", StringComparison.Ordinal) || f.EndsWith(".bin", StringComparison.Ordinal) || f.EndsWith(".pkl", StringComparison.Ordinal));

    [GeneratedRegex("^step-(0|[1-9][0-9]{0,17})$")]
    private static partial Regex StepName();
}
