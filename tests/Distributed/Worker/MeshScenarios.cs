using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Distributed.Worker;

internal static class MeshScenarios
{
    /// <summary>A mesh of 2 x 2 (dp_shard x tp), of 2 x 2 (dp_replicate x dp_shard), and of 4: each group gathers its members' world ranks.</summary>
    public static void SubGroups(DistributedRuntime runtime, string[] arguments)
    {
        var rank = runtime.Rank;
        var mesh = runtime.CreateMesh(new ParallelDimensions(DataParallelShard: 2, TensorParallel: 2), CPU);
        Members(mesh.Group(MeshAxis.TensorParallel), rank, "tp", [rank / 2 * 2, rank / 2 * 2 + 1]);
        Members(mesh.Group(MeshAxis.DataParallelShard), rank, "dp_shard", [rank % 2, rank % 2 + 2]);
        Members(mesh.Batch, rank, "dp_shard", [rank % 2, rank % 2 + 2]);
        Members(mesh.Group(MeshAxis.TensorParallel, MeshAxis.DataParallelShard), rank, "dp_shard x tp", [0, 1, 2, 3]);
        Scenarios.Expect(mesh.Group(MeshAxis.DataParallelReplicate) is SingleRankGroup { Name: "dp_replicate" }, "a dimension of one rank");
        Scenarios.Expect(mesh.Coordinate(MeshAxis.TensorParallel) == rank % 2 && mesh.Coordinate(MeshAxis.DataParallelShard) == rank / 2, "coordinates");

        var hybrid = runtime.CreateMesh(new ParallelDimensions(DataParallelReplicate: 2, DataParallelShard: 2), CPU);
        Members(hybrid.Group(MeshAxis.DataParallelShard), rank, "dp_shard", [rank / 2 * 2, rank / 2 * 2 + 1]);
        Members(hybrid.Group(MeshAxis.DataParallelReplicate), rank, "dp_replicate", [rank % 2, rank % 2 + 2]);
        Members(hybrid.Batch, rank, "dp", [0, 1, 2, 3]);

        var experts = runtime.CreateMesh(new ParallelDimensions(DataParallelShard: 2, ContextParallel: 2, ExpertParallel: 2), CPU);
        Members(experts.FullyShard, rank, "fsdp", [0, 1, 2, 3]);
        Members(experts.Expert, rank, "ep", [rank / 2 * 2, rank / 2 * 2 + 1]);
        Members(experts.DataModExpert, rank, "dp_mod_ep", [rank % 2, rank % 2 + 2]);
        // One rank asks for what another does not: nobody waits, since the mesh made it for all.
        if (rank == 2) Scenarios.Expect(experts.Group(MeshAxis.ContextParallel) is { Name: "cp", Rank: 0, Size: 2 }, "a group that no other rank asks for");
        Scenarios.Expect(runtime.LocalSize == runtime.World && runtime.LocalRank == rank && runtime.Hosts.Distinct().Count() == 1, "all ranks on this machine");
    }

    private static void Members(IProcessGroup group, int rank, string name, long[] expected)
    {
        using var scope = NewDisposeScope();
        var all = zeros(group.Size, dtype: ScalarType.Int64);
        group.AllGatherIntoTensor(all, tensor(new[] { (long)rank }));
        var members = all.data<long>().ToArray();
        Scenarios.Expect(group.Name == name && members.SequenceEqual(expected) && members[group.Rank] == rank, $"group '{group.Name}' of rank {rank} has {string.Join(", ", members)}");
    }
}
