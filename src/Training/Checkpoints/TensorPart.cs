using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Training.Checkpoints;

/// <summary>The part of a named tensor that this rank holds.</summary>
/// <param name="Name">The whole tensor's name in its file.</param>
/// <param name="Tensor">The part, in any memory layout, on any device.</param>
/// <param name="Layout">Where in the whole it is.</param>
/// <param name="Replicas">Number of ranks that hold this same part: it is saved by one of them.</param>
public sealed record TensorPart(string Name, Tensor Tensor, ShardLayout Layout, int Replicas = 1)
{
    /// <summary>A tensor that this rank has all of, and so have <paramref name="replicas"/> - 1 others.</summary>
    public static TensorPart Whole(string name, Tensor tensor, int replicas = 1) => new(name, tensor, ShardLayout.Whole(tensor.shape), replicas);

    /// <summary>Bytes of the part.</summary>
    internal long Bytes => Tensor.numel() * Tensor.element_size();

    /// <summary>Whether there is something to save: an empty part is not, unless the whole is empty too.</summary>
    internal bool IsStored => Tensor.numel() > 0 || Layout.GlobalShape.Contains(0);
}
