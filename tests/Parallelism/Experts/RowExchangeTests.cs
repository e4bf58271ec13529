using Titan.Abstractions;
using Titan.Plugins.ExpertParallel;
using Titan.Training.Checkpoints;
using static TorchSharp.torch;

namespace Titan.Parallelism.Tests.Experts;

/// <summary>The exchange by itself, against upstream's own (golden), and where nothing is sent or everything.</summary>
public sealed class RowExchangeTests
{
    private const string Exchange = "ep.rank";

    [Fact]
    public void Rows_travel_and_lie_as_upstreams_do()
    {
        using var scope = NewDisposeScope();
        var golden = Golden();
        var factors = golden["ep.expert_factor"];
        var ranks = ThreadRanks.Run(4, group =>
        {
            using var own = NewDisposeScope();
            Tensor Of(string name) => golden[$"{Exchange}{group.Rank}.{name}"];
            var rows = Of("routed_input").detach().requires_grad_();
            var exchange = Made(group);
            var there = exchange.Dispatch(rows, Of("tokens_per_expert"), 8);
            var sizes = Of("sizes").data<int>().ToArray();
            Assert.Equal([sizes[0], (long)sizes[0] + sizes[1]], there.Groups.HostEnds);
            var placed = there.Rows.Values;
            Assert.True(placed.equal(Of("permuted").narrow(0, 0, placed.shape[0])).all().item<bool>(), "permuted");
            // Each row by its expert's factor, as upstream's experts.
            var factor = cat([factors[2 * group.Rank].expand(sizes[0], -1), factors[2 * group.Rank + 1].expand(sizes[1], -1)]);
            var results = placed * factor;
            Assert.True(results.equal(Of("expert_output").narrow(0, 0, placed.shape[0])).all().item<bool>(), "expert_output");
            var home = exchange.Combine(results, there);
            Assert.True(home.equal(Of("combined")).all().item<bool>(), "combined");
            // Each way is the other's gradient: that of a row is its expert's factor.
            (home * 3).sum().backward();
            BackwardFailure.ThrowIfAny();
            return (Gradient: rows.grad!.clone().DetachFromDisposeScope(), Counts: Of("tokens_per_expert").data<long>().ToArray());
        });
        Assert.Contains(ranks, r => r.Gradient.shape[0] == 0);
        foreach (var (gradient, counts) in ranks)
            Assert.True(gradient.equal(cat([.. counts.Select((n, e) => factors[e].expand(n, -1) * 3)])).all().item<bool>());
    }

    [Theory]
    [InlineData("doc_example", 8), InlineData("doc_example", 32), InlineData("zeros", 16), InlineData("one_rank", 8), InlineData("many", 16), InlineData("many", 32)]
    public void Places_are_those_of_upstreams_index(string name, int multiple)
    {
        using var scope = NewDisposeScope();
        var golden = Golden();
        var key = $"{name}_{multiple}";
        var sizes = golden[$"{key}.sizes"].data<int>().ToArray();
        var counts = golden[$"{key}.tokens_per_expert_group"].view(-1, sizes.Length);
        var (groups, there) = PaddedRows.Layout(counts, counts.sum().item<long>(), multiple);
        var (places, ends) = ((there ?? arange(counts.sum().item<long>(), dtype: ScalarType.Int64)).data<long>().ToArray(), groups.HostEnds);
        Assert.Equal(golden[$"{key}.offsets"].data<int>().ToArray().Select(o => (long)o), ends);
        var index = golden[$"{key}.permuted_indices"].data<int>().ToArray();
        // Upstream says which row a place takes, -1 for none; ours which place a row takes.
        Assert.Equal(index.Count(i => i >= 0), places.Length);
        foreach (var (row, place) in places.Index()) Assert.Equal(row, index[place]);
    }

    /// <summary>Ranks of tensor parallelism hold the same rows: each sends a run of them, and the sum over the ranks is what one rank gives that sends all.</summary>
    [Theory]
    [InlineData(2, 2), InlineData(4, 2), InlineData(3, 3)]
    public void Rows_that_several_ranks_hold_are_sent_once(int shared, int expert)
    {
        var sizes = new ParallelDimensions(TensorParallel: shared, ExpertParallel: expert);
        var results = ThreadRanks.Run(sizes, mesh =>
        {
            using var scope = NewDisposeScope();
            var counts = new long[] { 5, 0, 3, 1, 0, 2 };
            var rows = (arange(22, dtype: ScalarType.Float32) + 1).reshape(11, 2).requires_grad_();
            var exchange = new RowExchange(mesh.Expert, RowShare.Of(mesh), new RowWires(null, null), new ExchangeTraffic(0));
            var there = exchange.Dispatch(rows, tensor(counts), 1);
            var home = exchange.Combine(there.Rows.Values * 2, there);
            home.sum().backward();
            BackwardFailure.ThrowIfAny();
            return (Home: home.detach().clone().DetachFromDisposeScope(), Gradient: rows.grad!.clone().DetachFromDisposeScope(), Here: there.Groups.HostEnds[^1]);
        });
        // Of other groups of experts, each handles its share.
        Assert.Equal(11, results.Sum(r => r.Here));
        var sum = results.Select(r => r.Home).Aggregate((a, b) => a + b);
        Assert.True(sum.equal((arange(22, dtype: ScalarType.Float32) + 1).reshape(11, 2) * 2).all().item<bool>());
        Assert.True(results.Select(r => r.Gradient).Aggregate((a, b) => a + b).eq(2).all().item<bool>());
    }

    private static RowExchange Made(IProcessGroup group) => new(group, new RowShare(0, 1), new RowWires(null, null), new ExchangeTraffic(0));

    private static Dictionary<string, Tensor> Golden()
    {
        var path = Path.Combine(AppContext.BaseDirectory, "golden", "permute.safetensors");
        return SafetensorsFile.ReadHeader(path).ToDictionary(e => e.Key, e => SafetensorsFile.Read(path, e.Value));
    }
}
