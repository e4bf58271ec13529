using Titan.Abstractions;

namespace Titan.Models;

/// <summary>
/// How a family's tensors are named and laid out in another program's checkpoints, in both directions and by slices: a rank asks where a box of one of our tensors is among theirs, reads or
/// writes these boxes, and never has more in memory than its own part.
/// </summary>
public interface IStateDictAdapter
{
    /// <summary>Every tensor of the other layout, with its shape.</summary>
    IReadOnlyDictionary<string, IReadOnlyList<long>> Foreign { get; }

    /// <summary>Where a part of one of our tensors is.</summary>
    /// <param name="fqn">Our name.</param>
    /// <param name="part">The part; its whole has our shape.</param>
    /// <returns>Pieces that together are the part, each element once.</returns>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> for a name or a shape that the other layout does not know.</exception>
    IReadOnlyList<TensorPiece> PiecesOf(string fqn, ShardLayout part);
}
