using Titan.Abstractions;

namespace Titan.Training.Checkpoints;

/// <summary>Writes tensors into files of another layout than ours.</summary>
internal interface ITensorFiles
{
    /// <summary>The format for the manifest.</summary>
    int Format { get; }

    /// <summary>Bytes of all files.</summary>
    long Bytes { get; }

    /// <summary>Writes the files. All ranks call it; what fails on one fails on all.</summary>
    /// <param name="folder">A folder that all ranks see.</param>
    /// <param name="own">What this rank writes; all ranks together have each element once.</param>
    /// <param name="createFile">Makes a new file.</param>
    /// <param name="world">All ranks.</param>
    /// <returns>All files, on every rank. They are on the disk.</returns>
    IReadOnlyList<CheckpointFile> Write(string folder, IReadOnlyList<TensorPart> own, Func<string, FileStream> createFile, IProcessGroup world);
}
