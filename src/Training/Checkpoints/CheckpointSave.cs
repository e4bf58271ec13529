using Titan.Abstractions;

namespace Titan.Training.Checkpoints;

/// <summary>
/// Saves one checkpoint. All ranks write their tensors into a folder of a temporary name and sync them; then rank 0 writes the texts, the manifest, and the seal over it, and
/// renames the folder: the rename commits.
/// </summary>
/// <param name="folders">Where.</param>
/// <param name="step">The step.</param>
/// <param name="branch">The step after which checkpoints are superseded by this one; null for none.</param>
/// <param name="createFile">Makes a new file.</param>
/// <param name="world">All ranks.</param>
internal sealed class CheckpointSave(StepFolders folders, long step, long? branch, Func<string, FileStream> createFile, IProcessGroup world)
{
    /// <summary>Saves it. What was written is removed again when something fails.</summary>
    /// <exception cref="IOException">On all ranks, when a rank's disk is full or refuses.</exception>
    /// <exception cref="TitanException">
    /// With <see cref="ExitCode.Plugin"/> when the ranks together do not hold all of a tensor; with <see cref="ExitCode.RunFailed"/> when a tensor is not finite.
    /// </exception>
    public void Run(CheckpointContents contents)
    {
        string? temporary = null;
        try
        {
            var plan = SavePlan.Make(world, contents.Tensors);
            temporary = Agreement.OnFirst(world, () => Begin(plan, contents.Files?.Bytes ?? plan.Bytes));
            var written = contents.Files is { } files
                ? [.. files.Write(temporary, [.. plan.Files.SelectMany(f => f.Parts)], createFile, world)]
                : Agreement.All(world, () => plan.Files.Select(f => WriteTensors(temporary, f.Name, f.Parts)).ToList()).SelectMany(f => f).ToList();
            Agreement.OnFirst(world, () => Finish(temporary, contents, written));
        }
        catch when (temporary is not null && world.Rank == 0)
        {
            StepFolders.Discard(temporary);
            throw;
        }
    }

    /// <summary>Makes the folder that all ranks write into.</summary>
    private string Begin(SavePlan plan, long bytes)
    {
        if (plan.Lacking is not null)
            throw new TitanException(ExitCode.Plugin, $"checkpoint step-{step}: the ranks together do not hold all of {plan.Lacking}; report it to the author of the parallelism, which says which part of a parameter each rank holds");
        if (plan.NonFinite is not null)
            throw new TitanException(ExitCode.RunFailed,
                $"step {step}: {plan.NonFinite} holds NaN or infinity, so no checkpoint is saved: {Newest()}; go on from there with a lower optimizer.lr or a longer lr_scheduler.warmup_steps");
        var needed = (long)(1.2 * bytes);
        var free = new DriveInfo(Path.GetFullPath(folders.Root)).AvailableFreeSpace;
        if (free < needed) throw new IOException($"it needs {needed / 1e6:F0} MB, {free / 1e6:F0} MB are free");
        var temporary = folders.CreateTemporary(step);
        Failpoint.Hit("before-first-byte");
        return temporary;
    }

    /// <summary>Writes what tells that the checkpoint is whole, and gives it its name.</summary>
    private void Finish(string temporary, CheckpointContents contents, List<CheckpointFile> files)
    {
        var format = contents.Files?.Format ?? (files.Any(f => SavePlan.IsNumbered(f.Name)) ? CheckpointManifest.CurrentFormat : CheckpointManifest.PlainFormat);
        new UnsealedFolder(temporary, createFile).Seal(files, contents.Texts, contents.Copies, new CheckpointManifest { Format = format, Step = step, Files = [], Metadata = contents.Metadata });
        Failpoint.Hit("before-rename");
        if (branch is { } after) folders.Supersede(after);
        folders.Commit(temporary, step);
        Failpoint.Hit("after-rename");
    }

    private string Newest() => folders.Committed is [var newest, ..] ? $"step-{newest} stays the newest" : "there is none yet";

    private CheckpointFile WriteTensors(string folder, string name, IReadOnlyList<TensorPart> parts)
    {
        using var file = new SafetensorsFile.HashedFile(createFile(Path.Combine(folder, name)));
        return UnsealedFolder.Describe(folder, name, SafetensorsFile.Write(file, parts));
    }
}
