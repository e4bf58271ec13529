namespace Titan.Training.Checkpoints;

/// <summary>manifest.json of a checkpoint: written last, so a folder without one is not a checkpoint.</summary>
public sealed record CheckpointManifest
{
    /// <summary>The format in which tensors are in as many files as ranks wrote them; what this program reads up to.</summary>
    public const int CurrentFormat = 2;

    /// <summary>The format in which each file of tensors is one file. Still written where one rank holds everything, so that earlier programs read it.</summary>
    public const int PlainFormat = 1;

    /// <summary>The manifest's file name.</summary>
    public const string FileName = "manifest.json";

    /// <summary>The file with the manifest's own SHA-256, as sha256sum writes and checks it.</summary>
    public const string SealName = FileName + ".sha256";

    /// <summary>Version of the format.</summary>
    public int Format { get; init; } = CurrentFormat;

    /// <summary>The step after which it was saved.</summary>
    public long Step { get; init; }

    /// <summary>Files with length and SHA-256.</summary>
    public required IReadOnlyList<CheckpointFile> Files { get; init; }

    /// <summary>What made it: model, plugins and their hashes.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; init; } = new Dictionary<string, string>();
}

/// <summary>A file of a checkpoint.</summary>
/// <param name="Name">Its name in the folder.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Sha256">Lower-case hex.</param>
public sealed record CheckpointFile(string Name, long Length, string Sha256);
