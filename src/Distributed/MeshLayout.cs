using Titan.Abstractions;

namespace Titan.Distributed;

/// <summary>Which rank is where in the mesh.</summary>
internal static class MeshLayout
{
    /// <summary>Outermost first.</summary>
    public static readonly MeshDimension[] Order =
    [
        MeshDimension.PipelineParallel, MeshDimension.DataParallelReplicate, MeshDimension.DataParallelShard, MeshDimension.ContextParallel, MeshDimension.TensorParallel,
    ];

    public static readonly MeshDimension[] Batch = [MeshDimension.DataParallelReplicate, MeshDimension.DataParallelShard];

    public static string Name(MeshDimension dimension) => dimension switch
    {
        MeshDimension.TensorParallel => "tp",
        MeshDimension.ContextParallel => "cp",
        MeshDimension.DataParallelShard => "dp_shard",
        MeshDimension.DataParallelReplicate => "dp_replicate",
        _ => "pp",
    };

    public static IReadOnlyDictionary<MeshDimension, int> Coordinates(ParallelDimensions sizes, int rank)
    {
        var coordinates = new Dictionary<MeshDimension, int>();
        foreach (var dimension in Order.Reverse())
        {
            coordinates[dimension] = rank % sizes[dimension];
            rank /= sizes[dimension];
        }

        return coordinates;
    }

    /// <summary>World ranks, in order, that agree with <paramref name="rank"/> in all but the given dimensions.</summary>
    public static int[] Members(ParallelDimensions sizes, int rank, MeshDimension[] varying)
    {
        var mine = Coordinates(sizes, rank);
        return [.. Enumerable.Range(0, sizes.World).Where(other => Coordinates(sizes, other).All(c => varying.Contains(c.Key) || c.Value == mine[c.Key]))];
    }

    /// <summary>Those of the dimensions that have more than one rank: groups with the same ones have the same members, on every rank.</summary>
    public static string Varying(ParallelDimensions sizes, MeshDimension[] dimensions) => string.Join('x', dimensions.Where(d => sizes[d] > 1).Select(Name));
}
