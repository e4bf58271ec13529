using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.ContextParallel;

/// <summary>
/// Which tokens of a sequence a rank has (upstream's head-tail): the sequence is cut into 2 · ranks equal pieces, and rank r has pieces r and 2 · ranks - 1 - r, in this order. A causal
/// query at the head has little to look at and one at the tail much: each rank has as much as any other.
/// </summary>
/// <param name="Ranks">Ranks that share a sequence.</param>
internal sealed record SequencePieces(int Ranks)
{
    /// <summary>Where the two pieces of a rank begin.</summary>
    /// <param name="rank">The rank.</param>
    /// <param name="piece">Tokens of a piece.</param>
    public (long Head, long Tail) Starts(int rank, long piece) => (rank * piece, (2L * Ranks - 1 - rank) * piece);

    /// <summary>The places of a rank's tokens in the sequence: [s] int64.</summary>
    /// <param name="rank">The rank.</param>
    /// <param name="length">Tokens of a sequence.</param>
    /// <param name="device">Where.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/> when the sequence cannot be cut.</exception>
    public Tensor Places(int rank, long length, Device device)
    {
        if (length % (2L * Ranks) != 0)
            throw new TitanException(ExitCode.Usage,
                $"context parallel over {Ranks} ranks: a sequence of {length} tokens; expected a multiple of 2 * {Ranks}, since each rank has two pieces of it (training.seq_len, validation.seq_len)");
        var piece = length / (2L * Ranks);
        var (head, tail) = Starts(rank, piece);
        using var first = arange(head, head + piece, dtype: ScalarType.Int64, device: device);
        using var second = arange(tail, tail + piece, dtype: ScalarType.Int64, device: device);
        return cat([first, second]);
    }
}
