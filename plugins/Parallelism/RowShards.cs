using Titan.Abstractions;

namespace Titan.Plugins.Parallelism;

/// <summary>How the rows of a tensor are shared out: equal runs of rows, the last ones shorter or empty; what is missing there is filled up on the wire.</summary>
/// <param name="Rows">Rows of the whole.</param>
/// <param name="PerRank">Rows of a full shard; a multiple of what the codec asks for.</param>
internal sealed record RowShards(long Rows, long PerRank)
{
    /// <summary>Shares <paramref name="rows"/> out over <paramref name="ranks"/> ranks.</summary>
    public static RowShards Of(long rows, int ranks, int multiple)
    {
        var even = (rows + ranks - 1) / ranks;
        return new RowShards(rows, (even + multiple - 1) / multiple * multiple);
    }

    /// <summary>First row and number of rows of a rank.</summary>
    public (long Start, long Count) Of(int rank)
    {
        var start = Math.Min(Rows, rank * PerRank);
        return (start, Math.Min(PerRank, Rows - start));
    }

    /// <summary>A rank's part of a layout.</summary>
    public ShardLayout Of(ShardLayout layout, int rank)
    {
        var (start, count) = Of(rank);
        return layout.Narrow(0, start, count);
    }
}
