using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Titan.Abstractions;
using Titan.Distributed;

namespace Titan.Training.Checkpoints;

/// <summary>
/// The folder of <c>step-N</c> folders. A checkpoint is written beside its final place, synced, and renamed: the rename is the commit, so at every moment the newest
/// committed checkpoint is whole. Damaged ones are set aside, never deleted. With many ranks, which see one file system, every rank makes a store and all call the same members
/// in the same order: each writes and reads its own parts, rank 0 decides and does the rest, and what fails on one fails on all with the same message.
/// </summary>
public sealed partial class CheckpointStore : IDisposable
{
    // What IOException.HResult is when a file is locked: errno on Linux and macOS, a Win32 code on Windows.
    private const int WouldBlock = 11, WouldBlockOnMac = 35, SharingViolation = unchecked((int)0x80070020);

    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    private readonly string root;
    private readonly int keep;
    private readonly Action<string> warn;
    private readonly FileStream? ownership;
    private readonly bool writable;
    private readonly IProcessGroup world;

    /// <summary>Opens the folder.</summary>
    /// <param name="root">The folder; made when it is missing and <paramref name="writable"/>.</param>
    /// <param name="keep">Checkpoints to keep, 0 for all.</param>
    /// <param name="writable">Whether checkpoints will be saved: takes the folder's lock and removes what an interrupted save left.</param>
    /// <param name="warn">Receives warnings, on rank 0.</param>
    /// <param name="world">All ranks, in a group that carries CPU tensors; null for one rank.</param>
    public CheckpointStore(string root, int keep, bool writable, Action<string> warn, IProcessGroup? world = null)
    {
        (this.root, this.keep, this.writable, this.warn, this.world) = (root, keep, writable, warn, world ?? new SingleRankGroup("world"));
        if (!writable) return;
        FileStream? held = null;
        try
        {
            Agreement.OnFirst(this.world, () =>
            {
                Directory.CreateDirectory(root);
                held = Lock();
                RemoveLeftovers();
            });
            ownership = held;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new TitanException(ExitCode.Data, $"checkpoint folder '{root}' cannot be written: {e.Message}; set job.dump_folder or checkpoint.folder to a folder that can", e);
        }
    }

    /// <summary>The committed steps, newest first.</summary>
    public IReadOnlyList<long> Steps => [.. Named.Where(IsCommitted)];

    /// <summary>All folders with the name of a step, newest first.</summary>
    private IEnumerable<long> Named => Directory.Exists(root)
        ? Directory.EnumerateDirectories(root).Select(d => StepName().Match(Path.GetFileName(d))).Where(m => m.Success)
            .Select(m => long.Parse(m.Groups[1].Value, CultureInfo.InvariantCulture)).OrderDescending()
        : [];

    /// <summary>Makes a new file; tests make files that fail.</summary>
    internal Func<string, FileStream> CreateFile { get; init; } = SafetensorsFile.HashedFile.Create;

    /// <summary>The folder of a step.</summary>
    public string Folder(long step) => Path.Combine(root, $"step-{step}");

    /// <summary>
    /// Saves a checkpoint and removes those beyond the ones to keep. A file of tensors is written as one file of that name where one rank holds all of it, else as one for each
    /// rank that holds something, numbered. The manifest is written when all ranks have synced their files; then the rename commits.
    /// </summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when a rank's disk is full or refuses; what was there before is untouched.</exception>
    public void Save(long step, CheckpointContents contents)
    {
        string? temporary = null;
        try
        {
            var plan = SavePlan.Make(world, contents.Tensors);
            temporary = Agreement.OnFirst(world, () => Begin(step, plan));
            var written = Agreement.All(world, () => plan.Files.Select(f => WriteTensors(temporary, f.Name, f.Parts)).ToList()).SelectMany(f => f).ToList();
            Agreement.OnFirst(world, () => Finish(temporary, step, contents, written));
        }
        catch (Exception e)
        {
            if (temporary is not null && world.Rank == 0) TryDelete(temporary);
            if (e is not (IOException or UnauthorizedAccessException)) throw;
            throw new TitanException(ExitCode.Data, $"checkpoint step-{step} could not be saved in '{root}': {e.Message}; earlier checkpoints are untouched; make room or set job.dump_folder to a folder with more", e);
        }

        if (world.Rank == 0) Retain(step);
    }

    /// <summary>
    /// The newest checkpoint that is whole, or null when there is none: the same one on all ranks. A damaged one is renamed to <c>step-N.corrupt</c> with a warning, and the
    /// one before it is tried; a store that is not writable passes over it and leaves it.
    /// </summary>
    public OpenedCheckpoint? OpenNewest()
    {
        var steps = Agreement.OnFirst(world, FindSteps);
        for (var i = 0; i < steps.Length; i++)
        {
            try
            {
                return OpenedCheckpoint.Open(Folder(steps[i]), steps[i], world);
            }
            catch (CorruptCheckpointException e)
            {
                Agreement.OnFirst(world, () => PassOver(steps[i], i + 1 < steps.Length ? steps[i + 1] : null, e.Message));
            }
        }

        return null;
    }

    /// <summary>A given step.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when it is missing or damaged; there is no falling back from a step that was asked for.</exception>
    public OpenedCheckpoint Open(long step)
    {
        Agreement.OnFirst(world, () =>
        {
            if (!Steps.Contains(step))
                throw new TitanException(ExitCode.Data, $"checkpoint.load_step = {step}: '{root}' has no such checkpoint; it has: {(Steps.Count == 0 ? "none" : string.Join(", ", Steps))}");
        });
        return OpenFolder(Folder(step), step, world);
    }

    /// <summary>A checkpoint anywhere.</summary>
    /// <param name="folder">Its folder.</param>
    /// <param name="world">All ranks, which all call this, in a group that carries CPU tensors; null for one rank.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/>.</exception>
    public static OpenedCheckpoint OpenFolder(string folder, IProcessGroup? world = null) => OpenFolder(folder, null, world ?? new SingleRankGroup("world"));

    /// <inheritdoc />
    public void Dispose() => ownership?.Dispose();

    private static OpenedCheckpoint OpenFolder(string folder, long? step, IProcessGroup world)
    {
        Agreement.OnFirst(world, () => CheckFolder(folder));
        try
        {
            return OpenedCheckpoint.Open(folder, step, world);
        }
        catch (CorruptCheckpointException e)
        {
            throw new TitanException(ExitCode.Data, $"checkpoint '{folder}' is damaged: {e.Message}; choose another step", e);
        }
    }

    private static void CheckFolder(string folder)
    {
        if (File.Exists(folder)) throw new TitanException(ExitCode.Data, $"checkpoint '{folder}' is a file; name the step-N folder that this program saved");
        if (!Directory.Exists(folder)) throw new TitanException(ExitCode.Data, $"checkpoint '{folder}' does not exist; name a step-N folder that this program saved");
        if (!File.Exists(Path.Combine(folder, CheckpointManifest.FileName)))
            throw new TitanException(ExitCode.Data, $"'{folder}' has no {CheckpointManifest.FileName}{(Foreign(folder) is { } f ? $" but holds {f}" : "")}: expected a step-N folder that this program saved");
    }

    /// <summary>The committed steps, newest first. Says which folders with a newer step's name are none; throws where there are only another program's.</summary>
    private long[] FindSteps()
    {
        var steps = Steps;
        foreach (var step in Named.Where(s => !IsCommitted(s) && s > steps.FirstOrDefault(-1)))
            warn($"'{Folder(step)}' has no {CheckpointManifest.FileName}, so it is no whole checkpoint of this program; it is left alone and " +
                (steps.Count > 0 ? $"step-{steps[0]} is used: {step - steps[0]} steps are lost" : "there is no other: training starts over"));
        return steps.Count == 0 && Directory.Exists(root) && Foreign(root) is { } foreign
            ? throw new TitanException(ExitCode.Data, $"'{root}' holds {foreign}, which is not a checkpoint of this program; choose another checkpoint.folder")
            : [.. steps];
    }

    /// <summary>Sets a damaged checkpoint aside, where that may be done, and says what it costs.</summary>
    private void PassOver(long step, long? next, string why)
    {
        var done = writable ? $"was renamed to {Path.GetFileName(SetAside(step, "corrupt"))}" : "is passed over";
        warn($"checkpoint step-{step} in '{root}' is damaged ({why}) and {done}; " +
            (next is not null ? $"falling back to step-{next}: {step - next} steps are lost" : "there is no earlier one: training starts over"));
    }

    /// <summary>Makes the folder that all ranks write into.</summary>
    private string Begin(long step, SavePlan plan)
    {
        if (plan.Lacking is not null)
            throw new TitanException(ExitCode.Plugin, $"checkpoint step-{step}: the ranks together do not hold all of {plan.Lacking}; report it to the author of the parallelism, which says which part of a parameter each rank holds");
        var needed = (long)(1.2 * plan.Bytes);
        var free = new DriveInfo(Path.GetFullPath(root)).AvailableFreeSpace;
        if (free < needed) throw new IOException($"it needs {needed / 1e6:F0} MB, {free / 1e6:F0} MB are free");
        var temporary = Directory.CreateDirectory(Path.Combine(root, $".step-{step}.{Guid.NewGuid():N}.tmp")).FullName;
        Failpoint.Hit("before-first-byte");
        return temporary;
    }

    private CheckpointFile WriteTensors(string folder, string name, IReadOnlyList<TensorPart> parts)
    {
        using var file = new SafetensorsFile.HashedFile(CreateFile(Path.Combine(folder, name)));
        return Describe(folder, name, SafetensorsFile.Write(file, parts));
    }

    /// <summary>Writes what tells that the checkpoint is whole, and gives it its name.</summary>
    private void Finish(string temporary, long step, CheckpointContents contents, List<CheckpointFile> files)
    {
        var isSplit = files.Any(f => !contents.Tensors.ContainsKey(f.Name));
        foreach (var (name, content) in contents.Texts) files.Add(Describe(temporary, name, WriteText(Path.Combine(temporary, name), content)));
        Failpoint.Hit("before-manifest");
        var manifest = new CheckpointManifest { Format = isSplit ? CheckpointManifest.CurrentFormat : CheckpointManifest.PlainFormat, Step = step, Files = files, Metadata = contents.Metadata };
        var text = JsonSerializer.Serialize(manifest, Json);
        WriteText(Path.Combine(temporary, CheckpointManifest.FileName), text);
        WriteText(Path.Combine(temporary, CheckpointManifest.SealName), OpenedCheckpoint.Seal(Encoding.UTF8.GetBytes(text)));
        DirectorySync.Flush(temporary);
        Failpoint.Hit("before-rename");
        Commit(temporary, step);
        Failpoint.Hit("after-rename");
    }

    private static CheckpointFile Describe(string folder, string name, string hash) => new(name, new FileInfo(Path.Combine(folder, name)).Length, hash);

    private bool IsCommitted(long step) => File.Exists(Path.Combine(Folder(step), CheckpointManifest.FileName));

    private FileStream Lock()
    {
        var path = Path.Combine(root, ".lock");
        try
        {
            // Held open for as long as the process lives: a crash frees it. None, because on Unix only that locks out others.
            var file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            file.SetLength(0);
            file.Write(Encoding.ASCII.GetBytes(Environment.ProcessId.ToString(CultureInfo.InvariantCulture)));
            file.Flush();
            return file;
        }
        catch (IOException e) when (e.HResult is WouldBlock or WouldBlockOnMac or SharingViolation)
        {
            throw new TitanException(ExitCode.Data, $"checkpoint folder '{root}' is in use by another run (its pid is in {path}); wait for it, or choose another job.dump_folder", e);
        }
    }

    /// <summary>Removes what an interrupted save or removal left. A checkpoint that was about to be replaced, and was not, comes back.</summary>
    private void RemoveLeftovers()
    {
        foreach (var left in Directory.EnumerateDirectories(root, ".*.tmp"))
        {
            if (Leftover().Match(Path.GetFileName(left)) is not { Success: true } match) continue;
            var final = Folder(long.Parse(match.Groups[2].Value, CultureInfo.InvariantCulture));
            if (match.Groups[1].Value == "replaced" && !Directory.Exists(final)) Directory.Move(left, final);
            else Directory.Delete(left, recursive: true);
        }
    }

    /// <summary>Renames a step's folder to a name that no checkpoint has.</summary>
    private string SetAside(long step, string why)
    {
        var aside = $"{Folder(step)}.{why}";
        for (var n = 2; Path.Exists(aside); n++) aside = $"{Folder(step)}.{why}{n}";
        try
        {
            Directory.Move(Folder(step), aside);
            return aside;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new TitanException(ExitCode.Data, $"'{Folder(step)}' is damaged and cannot be renamed: {e.Message}; move it away", e);
        }
    }

    private void Commit(string temporary, long step)
    {
        var final = Folder(step);
        string? old = null;
        if (Directory.Exists(final) && !IsCommitted(step))
            warn($"'{final}' is no checkpoint of this program and was renamed to {Path.GetFileName(SetAside(step, "other"))}");
        if (Directory.Exists(final))
        {
            old = Path.Combine(root, $".replaced-{step}.{Guid.NewGuid():N}.tmp");
            Directory.Move(final, old);
        }

        try
        {
            Directory.Move(temporary, final);
        }
        catch (IOException) when (old is not null)
        {
            Directory.Move(old, final);
            throw;
        }

        DirectorySync.Flush(root);
        if (old is not null) TryDelete(old);
    }

    private void Retain(long saved)
    {
        if (keep == 0) return;
        // A run that went back to an earlier step saves below the highest: what it just saved stays.
        foreach (var step in Steps.Where(s => s != saved).Skip(keep - 1))
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

    private string WriteText(string path, string text)
    {
        using var file = new SafetensorsFile.HashedFile(CreateFile(path));
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

    [GeneratedRegex(@"^step-(0|[1-9][0-9]{0,17})\z")]
    private static partial Regex StepName();

    [GeneratedRegex(@"^\.(step|replaced|delete)-([0-9]{1,18})\.[0-9a-f]{32}\.tmp\z")]
    private static partial Regex Leftover();
}
