namespace Titan.Training.Checkpoints;

/// <summary>What a checkpoint holds. All ranks give the same names of files in the same order, and each its own parts of the tensors.</summary>
/// <param name="Tensors">Files of tensors, by file name; in as many files as ranks have parts to write, see <see cref="CheckpointStore.Save"/>.</param>
/// <param name="Texts">Files of text, by file name; those of rank 0 are written.</param>
/// <param name="Metadata">What made it; that of rank 0 is written.</param>
public sealed record CheckpointContents(
    IReadOnlyDictionary<string, IReadOnlyList<TensorPart>> Tensors, IReadOnlyDictionary<string, string> Texts, IReadOnlyDictionary<string, string> Metadata)
{
    /// <summary>Files to copy, by name: where each is. Those of rank 0 are copied.</summary>
    public IReadOnlyDictionary<string, string> Copies { get; init; } = new Dictionary<string, string>();

    /// <summary>What writes the tensors, where that is not in our own layout.</summary>
    internal ITensorFiles? Files { get; init; }
}
