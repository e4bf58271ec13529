using Titan.Abstractions;

namespace Titan.Distributed;

/// <summary>
/// The ranks, arranged as <c>[pp, dp_replicate, dp_shard, cp, tp]</c>, the last one innermost (upstream's order), and the groups along each dimension. Groups of one rank are
/// <see cref="SingleRankGroup"/>s.
/// </summary>
public sealed class Mesh
{
    private readonly IReadOnlyDictionary<MeshDimension, int> coordinates;
    private readonly Dictionary<MeshDimension, IProcessGroup> groups = [];

    internal Mesh(ParallelDimensions dimensions, int rank, GroupFactory factory)
    {
        Dimensions = dimensions;
        coordinates = MeshLayout.Coordinates(dimensions, rank);
        // In the same order on every rank.
        foreach (var dimension in MeshLayout.Order)
            groups[dimension] = factory.Make(MeshLayout.Name(dimension), MeshLayout.Members(dimensions, rank, [dimension]), MeshLayout.Varying(dimensions, [dimension]));
        Batch = factory.Make("batch", MeshLayout.Members(dimensions, rank, MeshLayout.Batch), MeshLayout.Varying(dimensions, MeshLayout.Batch));
        World = factory.Make("world", MeshLayout.Members(dimensions, rank, MeshLayout.Order), MeshLayout.Varying(dimensions, MeshLayout.Order));
    }

    /// <summary>The sizes.</summary>
    public ParallelDimensions Dimensions { get; }

    /// <summary>The ranks that differ from this one along a dimension only: <c>dp_shard</c>, <c>dp_replicate</c>, <c>tp</c>, <c>cp</c>, <c>pp</c>.</summary>
    public IProcessGroup this[MeshDimension dimension] => groups[dimension];

    /// <summary>The ranks that read different data: <c>dp_replicate x dp_shard</c>, flattened, dp_shard innermost. Losses and token counts are reduced over it.</summary>
    public IProcessGroup Batch { get; }

    /// <summary>All ranks, on the mesh's device.</summary>
    public IProcessGroup World { get; }

    /// <summary>This rank's position along a dimension.</summary>
    public int Coordinate(MeshDimension dimension) => coordinates[dimension];
}
