namespace Titan.Abstractions;

/// <summary>
/// How the rows of a tensor are shared out: equal runs of rows, the last ones shorter or empty; what is missing there is filled up on the wire. A parallelism that shards and
/// the plan of what a step sends go by it, so both speak of the same bytes.
/// </summary>
/// <param name="Rows">Rows of the whole.</param>
/// <param name="PerRank">Rows of a full shard; a multiple of what the codec asks for (<see cref="IShardCodec.RowMultiple"/>).</param>
public sealed record RowShards(long Rows, long PerRank)
{
    /// <summary>Shares <paramref name="rows"/> out over <paramref name="ranks"/> ranks.</summary>
    /// <param name="rows">Rows of the whole.</param>
    /// <param name="ranks">Number of ranks, 1 or more.</param>
    /// <param name="codec">How the tensor travels, which says of what a shard's rows are a multiple; null for the compute dtype, and any number of rows.</param>
    public static RowShards Of(long rows, int ranks, IShardCodec? codec)
    {
        long even = (rows + ranks - 1) / ranks, multiple = codec?.RowMultiple ?? 1;
        return new RowShards(rows, (even + multiple - 1) / multiple * multiple);
    }

    /// <summary>First row and number of rows of a rank; the number is 0 where there are more ranks than full shards.</summary>
    public (long Start, long Count) OfRank(int rank)
    {
        var start = Math.Min(Rows, rank * PerRank);
        return (start, Math.Min(PerRank, Rows - start));
    }

    /// <summary>A rank's part of a tensor of which <paramref name="layout"/> is what the ranks share: a run of its first dimension.</summary>
    public ShardLayout OfRank(ShardLayout layout, int rank)
    {
        var (start, count) = OfRank(rank);
        return layout.Narrow(0, start, count);
    }
}
