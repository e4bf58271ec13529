using Titan.Abstractions;
using Titan.Distributed;

namespace Titan.Training.Checkpoints;

/// <summary>
/// The folder of <c>step-N</c> folders. A checkpoint is written beside its final place, synced, and renamed: the rename is the commit, so at every moment the newest
/// committed checkpoint is whole. Damaged ones are set aside, never deleted. With many ranks, which see one file system, every rank makes a store and all call the same members
/// in the same order: each writes and reads its own parts, rank 0 decides and does the rest, and what fails on one fails on all with the same message.
/// </summary>
public sealed class CheckpointStore : IDisposable
{
    // Links may lead anywhere, or round in a circle.
    private static readonly EnumerationOptions Near = new() { RecurseSubdirectories = true, MaxRecursionDepth = 3, AttributesToSkip = FileAttributes.ReparsePoint, IgnoreInaccessible = true };

    private readonly StepFolders folders;
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
        (folders, this.keep, this.writable, this.warn, this.world) = (new StepFolders(root, warn), keep, writable, warn, world ?? new SingleRankGroup("world"));
        if (!writable) return;
        FileStream? held = null;
        try
        {
            Agreement.OnFirst(this.world, () =>
            {
                Directory.CreateDirectory(root);
                held = FolderLock.Take(root);
                folders.RemoveLeftovers();
            });
            ownership = held;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new TitanException(ExitCode.Data, $"checkpoint folder '{root}' cannot be written: {e.Message}; set job.dump_folder or checkpoint.folder to a folder that can", e);
        }
    }

    /// <summary>The committed steps, newest first.</summary>
    public IReadOnlyList<long> Steps => folders.Committed;

    private string Root => folders.Root;

    /// <summary>Makes a new file; tests make files that fail.</summary>
    internal Func<string, FileStream> CreateFile { get; init; } = SafetensorsFile.HashedFile.Create;

    /// <summary>The folder of a step.</summary>
    public string Folder(long step) => folders.Of(step);

    /// <summary>
    /// Saves a checkpoint and removes those beyond the ones to keep. A file of tensors is written as one file of that name where one rank holds all of it, else as one for each
    /// rank that holds something, numbered. The manifest is written when all ranks have synced their files; then the rename commits.
    /// </summary>
    /// <param name="step">The step.</param>
    /// <param name="contents">What to save.</param>
    /// <param name="branch">For a run that went back: the step that it went back to. Later checkpoints, which others of its line left, are renamed to
    /// <c>step-N.superseded</c> before the commit, with a warning: no start sees them, and nobody removes them. Null where the run goes on from the newest.</param>
    /// <exception cref="TitanException">
    /// With <see cref="ExitCode.Data"/> when a rank's disk is full or refuses; with <see cref="ExitCode.RunFailed"/> when a tensor of floats holds NaN or infinity on some rank. What
    /// was there before is untouched.
    /// </exception>
    public void Save(long step, CheckpointContents contents, long? branch = null)
    {
        try
        {
            new CheckpointSave(folders, step, branch, CreateFile, world).Run(contents);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new TitanException(ExitCode.Data, $"checkpoint step-{step} could not be saved in '{Root}': {e.Message}; earlier checkpoints are untouched; make room or set job.dump_folder to a folder with more", e);
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
                throw new TitanException(ExitCode.Data, $"checkpoint.load_step = {step}: '{Root}' has no such checkpoint; it has: {(Steps.Count == 0 ? "none" : string.Join(", ", Steps))}");
        });
        return OpenFolder(Folder(step), step, world);
    }

    /// <summary>A checkpoint anywhere.</summary>
    /// <param name="folder">Its folder.</param>
    /// <param name="world">All ranks, which all call this, in a group that carries CPU tensors; null for one rank.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/>.</exception>
    public static OpenedCheckpoint OpenFolder(string folder, IProcessGroup? world = null) => OpenFolder(folder, null, world ?? new SingleRankGroup("world"));

    /// <summary>A checkpoint anywhere, of which one file of tensors is wanted.</summary>
    /// <param name="folder">Its folder.</param>
    /// <param name="only">The file; null for all.</param>
    /// <param name="progress">Called with the bytes of each chunk that is checked.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/>.</exception>
    internal static OpenedCheckpoint OpenFolder(string folder, string? only, Action<long> progress) => OpenFolder(folder, null, new SingleRankGroup("world"), only, progress);

    /// <inheritdoc />
    public void Dispose() => ownership?.Dispose();

    private static OpenedCheckpoint OpenFolder(string folder, long? step, IProcessGroup world, string? only = null, Action<long>? progress = null)
    {
        Agreement.OnFirst(world, () => CheckFolder(folder));
        try
        {
            return OpenedCheckpoint.Open(folder, step, world, only, progress);
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
            throw new TitanException(ExitCode.Data, File.Exists(Path.Combine(folder, "config.json"))
                ? $"'{folder}' is a Hugging Face folder, not a checkpoint of this program: load it with checkpoint.initial_load_in_hf = true"
                : $"'{folder}' has no {CheckpointManifest.FileName}{(Foreign(folder) is { } f ? $" but holds {f}" : "")}: expected a step-N folder that this program saved");
    }

    /// <summary>The committed steps, newest first. Says which folders with a newer step's name are none; throws where there are only another program's.</summary>
    private long[] FindSteps()
    {
        var steps = Steps;
        foreach (var step in folders.Named.Where(s => !folders.IsCommitted(s) && s > steps.FirstOrDefault(-1)))
            warn($"'{Folder(step)}' has no {CheckpointManifest.FileName}, so it is no whole checkpoint of this program; it is left alone and " +
                (steps.Count > 0 ? $"step-{steps[0]} is used: {step - steps[0]} steps are lost" : "there is no other: training starts over"));
        return steps.Count == 0 && Directory.Exists(Root) && Foreign(Root) is { } foreign
            ? throw new TitanException(ExitCode.Data, $"'{Root}' holds {foreign}, which is not a checkpoint of this program; choose another checkpoint.folder")
            : [.. steps];
    }

    /// <summary>Sets a damaged checkpoint aside, where that may be done, and says what it costs.</summary>
    private void PassOver(long step, long? next, string why)
    {
        var done = writable ? $"was renamed to {Path.GetFileName(folders.SetAside(step, "corrupt"))}" : "is passed over";
        warn($"checkpoint step-{step} in '{Root}' is damaged ({why}) and {done}; " +
            (next is not null ? $"falling back to step-{next}: {step - next} steps are lost" : "there is no earlier one: training starts over"));
    }

    private void Retain(long saved)
    {
        if (keep == 0) return;
        // A run that went back to an earlier step saves below the highest: what it just saved stays.
        foreach (var step in Steps.Where(s => s != saved).Skip(keep - 1)) folders.Remove(step);
    }

    /// <summary>The first file, not far below a folder, that another program saves its checkpoints in.</summary>
    private static string? Foreign(string folder) =>
        Directory.EnumerateFiles(folder, "*", Near).Select(Path.GetFileName)
            .FirstOrDefault(f => f!.EndsWith(".distcp", StringComparison.Ordinal) || f.EndsWith(".pt", StringComparison.Ordinal) || f.EndsWith(".bin", StringComparison.Ordinal) || f.EndsWith(".pkl", StringComparison.Ordinal));
}
