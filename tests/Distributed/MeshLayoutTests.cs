using CsCheck;
using Titan.Abstractions;

namespace Titan.Distributed.Tests;

public sealed class MeshLayoutTests
{
    private static readonly Gen<ParallelDimensions> Sizes =
        Gen.Select(Gen.Int[1, 3], Gen.Int[1, 3], Gen.Int[1, 2], Gen.Int[1, 3], Gen.Int[1, 2]).Select((r, s, c, t, p) => new ParallelDimensions(r, s, c, t, p));

    [Fact]
    public void Tensor_parallel_is_innermost_and_pipeline_outermost()
    {
        var sizes = new ParallelDimensions(DataParallelReplicate: 2, DataParallelShard: 2, TensorParallel: 2);
        Assert.Equal([4, 5], MeshLayout.Members(sizes, 5, [MeshDimension.TensorParallel]));
        Assert.Equal([5, 7], MeshLayout.Members(sizes, 5, [MeshDimension.DataParallelShard]));
        Assert.Equal([1, 5], MeshLayout.Members(sizes, 5, [MeshDimension.DataParallelReplicate]));
        Assert.Equal([1, 3, 5, 7], MeshLayout.Members(sizes, 5, MeshLayout.Batch));
        Assert.Equal([0, 4], MeshLayout.Members(new(PipelineParallel: 2, DataParallelShard: 4), 0, [MeshDimension.PipelineParallel]));
    }

    [Fact]
    public void The_groups_of_a_dimension_part_the_world_and_a_rank_stands_at_its_coordinate() => Sizes.Sample(sizes =>
    {
        foreach (var dimension in MeshLayout.Order)
        {
            var groups = Enumerable.Range(0, sizes.World).Select(rank => MeshLayout.Members(sizes, rank, [dimension])).ToList();
            Assert.All(groups.Index(), g => Assert.Equal(MeshLayout.Coordinates(sizes, g.Index)[dimension], Array.IndexOf(g.Item, g.Index)));
            Assert.All(groups, g => Assert.Equal(sizes[dimension], g.Length));
            Assert.Equal(Enumerable.Range(0, sizes.World), groups.DistinctBy(g => g[0]).SelectMany(g => g).Order());
        }
    }, iter: 50);
}
