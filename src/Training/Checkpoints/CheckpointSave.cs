using System.Text;
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
            temporary = Agreement.OnFirst(world, () => Begin(plan));
            var written = Agreement.All(world, () => plan.Files.Select(f => WriteTensors(temporary, f.Name, f.Parts)).ToList()).SelectMany(f => f).ToList();
            Agreement.OnFirst(world, () => Finish(temporary, contents, written));
        }
        catch when (temporary is not null && world.Rank == 0)
        {
            StepFolders.Discard(temporary);
            throw;
        }
    }

    /// <summary>Makes the folder that all ranks write into.</summary>
    private string Begin(SavePlan plan)
    {
        if (plan.Lacking is not null)
            throw new TitanException(ExitCode.Plugin, $"checkpoint step-{step}: the ranks together do not hold all of {plan.Lacking}; report it to the author of the parallelism, which says which part of a parameter each rank holds");
        if (plan.NonFinite is not null)
            throw new TitanException(ExitCode.RunFailed,
                $"step {step}: {plan.NonFinite} holds NaN or infinity, so no checkpoint is saved: {Newest()}; go on from there with a lower optimizer.lr or a longer lr_scheduler.warmup_steps");
        var needed = (long)(1.2 * plan.Bytes);
        var free = new DriveInfo(Path.GetFullPath(folders.Root)).AvailableFreeSpace;
        if (free < needed) throw new IOException($"it needs {needed / 1e6:F0} MB, {free / 1e6:F0} MB are free");
        var temporary = folders.CreateTemporary(step);
        Failpoint.Hit("before-first-byte");
        return temporary;
    }

    /// <summary>Writes what tells that the checkpoint is whole, and gives it its name.</summary>
    private void Finish(string temporary, CheckpointContents contents, List<CheckpointFile> files)
    {
        var isSplit = files.Any(f => SavePlan.IsNumbered(f.Name));
        foreach (var (name, content) in contents.Texts) files.Add(Describe(temporary, name, WriteText(Path.Combine(temporary, name), content)));
        Failpoint.Hit("before-manifest");
        var manifest = new CheckpointManifest { Format = isSplit ? CheckpointManifest.CurrentFormat : CheckpointManifest.PlainFormat, Step = step, Files = files, Metadata = contents.Metadata };
        var text = manifest.ToJson();
        WriteText(Path.Combine(temporary, CheckpointManifest.FileName), text);
        WriteText(Path.Combine(temporary, CheckpointManifest.SealName), OpenedCheckpoint.Seal(Encoding.UTF8.GetBytes(text)));
        DirectorySync.Flush(temporary);
        Failpoint.Hit("before-rename");
        if (branch is { } after) folders.Supersede(after);
        folders.Commit(temporary, step);
        Failpoint.Hit("after-rename");
    }

    private string Newest() => folders.Committed is [var newest, ..] ? $"step-{newest} stays the newest" : "there is none yet";

    private CheckpointFile WriteTensors(string folder, string name, IReadOnlyList<TensorPart> parts)
    {
        using var file = new SafetensorsFile.HashedFile(createFile(Path.Combine(folder, name)));
        return Describe(folder, name, SafetensorsFile.Write(file, parts));
    }

    private string WriteText(string path, string text)
    {
        if (Encoding.UTF8.GetByteCount(text) is var length && length > OpenedCheckpoint.LargestText)
            throw new IOException($"{Path.GetFileName(path)} would have {length:N0} bytes, and is read up to {OpenedCheckpoint.LargestText:N0}");
        using var file = new SafetensorsFile.HashedFile(createFile(path));
        var bytes = Encoding.UTF8.GetBytes(text);
        file.Write(bytes.AsSpan(0, bytes.Length / 2));
        if (path.EndsWith(CheckpointManifest.FileName, StringComparison.Ordinal)) Failpoint.Hit("mid-manifest");
        file.Write(bytes.AsSpan(bytes.Length / 2));
        return file.Finish();
    }

    private static CheckpointFile Describe(string folder, string name, string hash) => new(name, new FileInfo(Path.Combine(folder, name)).Length, hash);
}
