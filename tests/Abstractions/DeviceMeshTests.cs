using CsCheck;
using TorchSharp;

namespace Titan.Abstractions.Tests;

public sealed class DeviceMeshTests
{
    private const MeshAxis Pp = MeshAxis.PipelineParallel, Replicate = MeshAxis.DataParallelReplicate, Shard = MeshAxis.DataParallelShard, Cp = MeshAxis.ContextParallel,
        Tp = MeshAxis.TensorParallel, Ep = MeshAxis.ExpertParallel, Etp = MeshAxis.ExpertTensorParallel;

    private static readonly Gen<ParallelDimensions> Sizes =
        Gen.Select(Gen.Int[1, 3], Gen.Int[1, 3], Gen.Int[1, 2], Gen.Int[1, 3], Gen.Int[1, 2]).Select((r, s, c, t, p) => new ParallelDimensions(r, s, c, t, p));

    /// <summary>Eight ranks of dp_replicate 2 x dp_shard 2 x tp 2, written out by hand: rank = 4 replicate + 2 shard + tp.</summary>
    [Fact]
    public void Ranks_of_2_x_2_x_2_stand_where_a_table_says()
    {
        var sizes = new ParallelDimensions(DataParallelReplicate: 2, DataParallelShard: 2, TensorParallel: 2);
        Expect(sizes, m => m.Group(Tp), "tp", [0, 1], [2, 3], [4, 5], [6, 7]);
        Expect(sizes, m => m.Group(Shard), "dp_shard", [0, 2], [1, 3], [4, 6], [5, 7]);
        Expect(sizes, m => m.Group(Replicate), "dp_replicate", [0, 4], [1, 5], [2, 6], [3, 7]);
        Expect(sizes, m => m.Batch, "dp", [0, 2, 4, 6], [1, 3, 5, 7]);
        // Without cp a parameter is sharded over dp_shard, and losses are those of dp.
        Expect(sizes, m => m.FullyShard, "dp_shard", [0, 2], [1, 3], [4, 6], [5, 7]);
        Expect(sizes, m => m.Loss, "dp", [0, 2, 4, 6], [1, 3, 5, 7]);
        Expect(sizes, m => m.Group(Tp, Shard), "dp_shard x tp", [0, 1, 2, 3], [4, 5, 6, 7]);
        Expect(sizes, m => m.Group(Replicate, Tp), "dp_replicate x tp", [0, 1, 4, 5], [2, 3, 6, 7]);
        Expect(sizes, m => m.Group(Replicate, Shard, Tp), "dp_replicate x dp_shard x tp", [0, 1, 2, 3, 4, 5, 6, 7]);
        Expect(sizes, m => m.Group(Cp), "cp", [0], [1], [2], [3], [4], [5], [6], [7]);
    }

    /// <summary>dp_shard 2 x cp 2 x tp 2: rank = 4 shard + 2 cp + tp.</summary>
    [Fact]
    public void Ranks_that_share_a_sequence_share_parameters_and_have_losses_of_their_own()
    {
        var sizes = new ParallelDimensions(DataParallelShard: 2, ContextParallel: 2, TensorParallel: 2);
        Expect(sizes, m => m.Group(Cp), "cp", [0, 2], [1, 3], [4, 6], [5, 7]);
        Expect(sizes, m => m.Batch, "dp_shard", [0, 4], [1, 5], [2, 6], [3, 7]);
        Expect(sizes, m => m.FullyShard, "fsdp", [0, 2, 4, 6], [1, 3, 5, 7]);
        Expect(sizes, m => m.Loss, "fsdp", [0, 2, 4, 6], [1, 3, 5, 7]);
        Expect(sizes, m => m.Over(Shard), "fsdp", [0, 2, 4, 6], [1, 3, 5, 7]);
        Expect(sizes with { DataParallelReplicate = 2, TensorParallel = 1 }, m => m.Loss, "loss", [0, 1, 2, 3, 4, 5, 6, 7]);
        Expect(sizes with { DataParallelReplicate = 2, TensorParallel = 1 }, m => m.FullyShard, "fsdp", [0, 1, 2, 3], [4, 5, 6, 7]);
        Expect(new ParallelDimensions(PipelineParallel: 2, ContextParallel: 2), m => m.Over(Shard), "cp", [0, 1], [2, 3]);
        Expect(new ParallelDimensions(PipelineParallel: 2, DataParallelShard: 4), m => m.Group(Pp), "pp", [0, 4], [1, 5], [2, 6], [3, 7]);
    }

    /// <summary>ep takes the innermost of dp_shard x cp x tp; etp = tp leaves tp where it is.</summary>
    [Fact]
    public void Experts_take_their_ranks_from_the_innermost_of_shards_contexts_and_tensors()
    {
        var four = new ParallelDimensions(DataParallelShard: 4, ExpertParallel: 2);
        Expect(four, m => m.Expert, "ep", [0, 1], [2, 3]);
        Expect(four, m => m.DataModExpert, "dp_mod_ep", [0, 2], [1, 3]);
        Expect(four with { ExpertParallel = 4 }, m => m.Expert, "ep", [0, 1, 2, 3]);
        Expect(four with { ExpertParallel = 4 }, m => m.DataModExpert, "dp_mod_ep", [0], [1], [2], [3]);

        // ep 2 is cp where cp is innermost, and a part of dp_shard beside it where it is larger.
        var contexts = new ParallelDimensions(DataParallelShard: 2, ContextParallel: 2);
        Expect(contexts with { ExpertParallel = 2 }, m => m.Expert, "ep", [0, 1], [2, 3]);
        Expect(contexts with { ExpertParallel = 4 }, m => m.Expert, "ep", [0, 1, 2, 3]);

        // With tp 2: etp 1 takes tp's ranks too, etp 2 = tp does not.
        var tensors = new ParallelDimensions(DataParallelShard: 4, TensorParallel: 2, ExpertParallel: 2);
        Expect(tensors, m => m.Expert, "ep", [0, 1], [2, 3], [4, 5], [6, 7]);
        Expect(tensors, m => m.DataModExpert, "dp_mod_ep", [0, 2, 4, 6], [1, 3, 5, 7]);
        Expect(tensors with { ExpertParallel = 4 }, m => m.Expert, "ep", [0, 1, 2, 3], [4, 5, 6, 7]);
        Expect(tensors with { ExpertTensorParallel = 2 }, m => m.Expert, "ep", [0, 2], [1, 3], [4, 6], [5, 7]);
        Expect(tensors with { ExpertTensorParallel = 2 }, m => m.Group(Etp), "etp", [0, 1], [2, 3], [4, 5], [6, 7]);
        Expect(tensors with { ExpertTensorParallel = 2 }, m => m.DataModExpert, "dp_mod_ep", [0, 4], [1, 5], [2, 6], [3, 7]);
        Expect(tensors with { ExpertTensorParallel = 2 }, m => m.Group(Ep, Etp), "ep x etp", [0, 1, 2, 3], [4, 5, 6, 7]);
        Expect(tensors with { ExpertTensorParallel = 2, ExpertParallel = 4 }, m => m.Expert, "ep", [0, 2, 4, 6], [1, 3, 5, 7]);

        // Never from dp_replicate or pp.
        var replicas = new ParallelDimensions(DataParallelReplicate: 2, DataParallelShard: 2, PipelineParallel: 2, ExpertParallel: 2);
        Expect(replicas, m => m.Expert, "ep", [0, 1], [2, 3], [4, 5], [6, 7]);
        Expect(replicas, m => m.DataModExpert, "dp_mod_ep", [0], [1], [2], [3], [4], [5], [6], [7]);
        Expect(replicas, m => m.Group(Replicate, Ep), "dp_replicate x ep", [0, 1, 2, 3], [4, 5, 6, 7]);
    }

    [Fact]
    public void The_groups_over_any_axes_part_the_world_and_a_rank_stands_at_its_coordinate() => Gen.Select(Sizes, Gen.Int[1, 31]).Sample((sizes, set) =>
    {
        MeshAxis[] all = [Pp, Replicate, Shard, Cp, Tp], axes = [.. all.Where((_, i) => (set >> i & 1) != 0)];
        var groups = Enumerable.Range(0, sizes.World).Select(rank => MeshLayout.Members(sizes, rank, axes)).ToList();
        Assert.All(groups.Index(), g => Assert.Equal(MeshLayout.Coordinate(sizes, g.Index, axes), g.Item.ToList().IndexOf(g.Index)));
        Assert.All(groups, g => Assert.Equal(axes.Aggregate(1, (product, a) => product * sizes[a]), g.Count));
        Assert.All(groups, g => Assert.Equal(g.Order(), g));
        Assert.Equal(Enumerable.Range(0, sizes.World), groups.DistinctBy(g => g[0]).SelectMany(g => g).Order());
        // The order of the axes that are asked for says nothing.
        Assert.Equal(MeshLayout.Members(sizes, 0, [.. axes.Reverse()]), groups[0]);
        Assert.Equal(MeshLayout.Name(sizes, axes), MeshLayout.Name(sizes, [.. axes.Reverse()]));
    }, iter: 100);

    /// <summary>What makes communicators goes by this list: ranks that disagree on it wait for each other for ever.</summary>
    [Fact]
    public void All_ranks_list_the_same_groups_in_the_same_order_and_what_can_be_asked_for_is_among_them() => Gen.Select(Sizes, Gen.Int[1, 4], Gen.Bool).Where((s, e, split) =>
        s with { ExpertParallel = e, ExpertTensorParallel = split ? s.TensorParallel : 1 } is { ExpertProblem: null }).Sample((some, experts, split) =>
    {
        var sizes = some with { ExpertParallel = experts, ExpertTensorParallel = split ? some.TensorParallel : 1 };
        var lists = Enumerable.Range(0, sizes.World).Select(rank => MeshLayout.Groups(sizes, rank).ToList()).ToList();
        Assert.All(lists, l => Assert.Equal(lists[0].Select(g => g.Name), l.Select(g => g.Name)));
        foreach (var (rank, list) in lists.Index())
        {
            Assert.All(list, g => Assert.Contains(rank, g.Members));
            // Members agree who is with them.
            Assert.All(list.Index(), g => Assert.All(g.Item.Members, member => Assert.Equal(g.Item.Members, lists[member][g.Index].Members)));
            var mesh = new DeviceMesh(sizes, rank, (name, members) => members.Count == 1 || list.Any(g => g.Members.SequenceEqual(members)) ? new Members(name, members) : throw new InvalidOperationException(name));
            for (var set = 1; set < 32; set++) mesh.Group([.. new[] { Pp, Replicate, Shard, Cp, Tp }.Where((_, i) => (set >> i & 1) != 0)]);
            for (var set = 1; set < 16; set++) mesh.Group([.. new[] { Pp, Replicate, Ep, Etp }.Where((_, i) => (set >> i & 1) != 0)]);
            _ = (mesh.Batch, mesh.FullyShard, mesh.Loss, mesh.Expert, mesh.DataModExpert);
        }
    }, iter: 60);

    [Fact]
    public void A_group_is_made_once_and_a_group_of_experts_and_tensors_is_refused()
    {
        var made = new List<string>();
        var mesh = new DeviceMesh(new ParallelDimensions(DataParallelShard: 4, TensorParallel: 2, ExpertParallel: 2), 5, (name, members) =>
        {
            made.Add(name);
            return new Members(name, members);
        });
        Assert.Same(mesh.Group(Shard), mesh.FullyShard);
        Assert.Same(mesh.Group(Shard, Tp), mesh.Group(Tp, Shard));
        Assert.Equal(["dp_shard", "dp_shard x tp"], made);
        Assert.Contains("the mesh has no group over ep x tp: ep and etp take their ranks from dp_shard, cp and tp", Assert.Throws<ArgumentException>(() => mesh.Group(Ep, Tp)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => mesh.Group());
        Assert.Throws<ArgumentOutOfRangeException>(() => new DeviceMesh(new ParallelDimensions(2), 2, (name, members) => new Members(name, members)));
        Assert.Contains("ep 3 * etp 1 takes its ranks from dp_shard 4 * cp 1 * tp 1 = 4", Assert.Throws<ArgumentException>(
            () => new DeviceMesh(new ParallelDimensions(DataParallelShard: 4, ExpertParallel: 3), 0, (name, members) => new Members(name, members))).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(8, "dp_shard 4 x tp 2", 1, -1, 1, 2, 1, 1, 1)]
    [InlineData(8, "dp_shard 4 x tp 2 x ep 4", 1, -1, 1, 2, 1, 4, 1)]
    [InlineData(8, "dp_replicate 2 x dp_shard 2 x cp 2", 2, -1, 2, 1, 1, 1, 1)]
    [InlineData(2, "the job runs on 2 rank(s); set NGPU=3 or change the degrees", 1, 3, 1, 1, 1, 1, 1)]
    [InlineData(8, "parallelism.context_parallel_degree = 0: expected 1 or more", 1, -1, 0, 1, 1, 1, 1)]
    [InlineData(8, "parallelism.data_parallel_shard_degree = 0: expected 1 or more, or -1 for all ranks that are left", 1, 0, 1, 1, 1, 1, 1)]
    [InlineData(8, "etp 3: expected 1 or tp 2", 1, -1, 1, 2, 1, 2, 3)]
    [InlineData(8, "ep 3 * etp 2 takes its ranks from dp_shard 4 * cp 1 * tp 2 = 8, which it does not divide", 1, -1, 1, 2, 1, 3, 2)]
    [InlineData(8, "is more than 1048576 ranks", 1048576, 2, 1, 1, 1, 1, 1)]
    public void Degrees_become_sizes_or_an_error_with_the_way_out(int world, string says, int replicate, int shard, int context, int tensor, int pipeline, int expert, int expertTensor)
    {
        string result;
        try
        {
            result = ParallelDimensions.Resolve(new(replicate, shard, context, tensor, pipeline, expert, expertTensor), world).ToString();
        }
        catch (TitanException e)
        {
            Assert.Equal(ExitCode.Usage, e.Code);
            result = e.Message;
        }

        Assert.Contains(says, result, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", 1, -1, 1, 1, 1, 1)]
    [InlineData("dp_shard 4 x ep 4", 1, -1, 1, 1, 4, 1)]
    [InlineData("dp_shard 3 x tp 2 x ep 3 x etp 2", 1, -1, 1, 2, 3, 2)]
    [InlineData("dp_shard 3 x cp 2 x ep 6", 1, -1, 2, 1, 6, 1)]
    [InlineData("dp_replicate 2 x tp 2", 2, -1, 1, 2, 1, 1)]
    public void Where_the_number_of_ranks_is_not_known_the_fewest_count(string sizes, int replicate, int shard, int context, int tensor, int expert, int expertTensor) =>
        Assert.Equal(sizes, ParallelDimensions.Least(new(replicate, shard, context, tensor, 1, expert, expertTensor)).ToString());

    /// <summary>Each group of the world, as its members see it.</summary>
    private static void Expect(ParallelDimensions sizes, Func<DeviceMesh, IProcessGroup> ask, string name, params int[][] groups)
    {
        Assert.Equal(sizes.World, groups.Sum(g => g.Length));
        foreach (var members in groups)
            foreach (var rank in members)
            {
                var group = Assert.IsType<Members>(ask(new DeviceMesh(sizes, rank, (n, m) => new Members(n, m))));
                Assert.Equal(name, group.Name);
                Assert.Equal(members, group.Ranks);
            }
    }

    /// <summary>A group that only knows who is in it.</summary>
    private sealed class Members(string name, IReadOnlyList<int> ranks) : IProcessGroup
    {
        public IReadOnlyList<int> Ranks => ranks;

        public string Name => name;

        public int Rank => throw new NotSupportedException();

        public int Size => ranks.Count;

        public IWork AllGatherIntoTensorAsync(torch.Tensor output, torch.Tensor input) => throw new NotSupportedException();

        public IWork ReduceScatterTensorAsync(torch.Tensor output, torch.Tensor input) => throw new NotSupportedException();

        public IWork AllReduceAsync(torch.Tensor tensor, ReduceOperation operation) => throw new NotSupportedException();

        public IWork BroadcastAsync(torch.Tensor tensor, int source) => throw new NotSupportedException();

        public IWork AllToAllSingleAsync(torch.Tensor output, torch.Tensor input) => throw new NotSupportedException();

        public IWork AllToAllSingleAsync(torch.Tensor output, torch.Tensor input, IReadOnlyList<long> outputSplits, IReadOnlyList<long> inputSplits) => throw new NotSupportedException();

        public IWork BatchSendReceiveAsync(IReadOnlyList<PointToPoint> messages) => throw new NotSupportedException();

        public void Barrier() => throw new NotSupportedException();
    }
}
