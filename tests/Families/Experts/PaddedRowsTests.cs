using CsCheck;
using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Families.Tests.Experts;

/// <summary>Groups that begin at multiples: upstream's places, and nothing lost on the way there and back.</summary>
public sealed class PaddedRowsTests
{
    [Theory]
    [InlineData("doc_example", 4, 2), InlineData("zeros", 3, 4), InlineData("one_rank", 8, 1), InlineData("many", 4, 8)]
    public void Places_and_ends_are_those_of_upstream(string name, int experts, int runs)
    {
        using var scope = NewDisposeScope();
        var golden = Golden.Of("permute");
        foreach (var multiple in new[] { 8, 16, 32 })
        {
            var counts = golden[$"{name}_{multiple}.tokens_per_expert_group"].view(runs, experts);
            var indices = golden[$"{name}_{multiple}.permuted_indices"].to(ScalarType.Int64);
            var rows = counts.sum().item<long>();
            var (groups, places) = PaddedRows.Layout(counts, rows, multiple);
            Assert.Equal(golden[$"{name}_{multiple}.offsets"].data<int>().ToArray(), groups.Ends.data<int>().ToArray());
            Assert.Equal(indices.shape[0], PaddedRows.Most(rows, experts, multiple));
            Assert.Equal(indices.data<long>().ToArray(), full_like(indices, -1).scatter(0, places!, arange(rows, dtype: ScalarType.Int64)).data<long>().ToArray());
        }
    }

    [Fact]
    public void Rows_of_any_counts_come_back_and_lie_in_their_groups() =>
        Gen.Select(Gen.Int[0, 5].Array[1, 12], Gen.Int[0, 4].Select(p => 1 << p)).Sample((sizes, multiple) =>
        {
            using var scope = NewDisposeScope();
            var (n, counts) = (sizes.Sum(), tensor(sizes.Select(s => (long)s).ToArray()));
            if (n == 0) return;
            var rows = arange(1, n + 1, dtype: ScalarType.Float32).unsqueeze(1).requires_grad_();
            var sent = PaddedRows.Instance.Dispatch(rows, counts, multiple);
            var there = sent.Rows.Values;
            var ends = sent.Groups.HostEnds;
            for (var (e, next) = (0, 0); e < sizes.Length; next += sizes[e++])
            {
                var begin = e == 0 ? 0 : ends[e - 1];
                Assert.Equal(0, begin % multiple);
                var group = there.data<float>().ToArray()[(int)begin..(int)ends[e]];
                Assert.Equal(Enumerable.Range(next + 1, sizes[e]).Select(i => (float)i), group[..sizes[e]]);
                Assert.All(group[sizes[e]..], f => Assert.Equal(0, f));
            }

            var back = PaddedRows.Instance.Combine(there * 2, sent);
            Assert.True(back.eq(rows * 2).all().item<bool>());
            back.square().sum().backward();
            BackwardFailure.ThrowIfAny();
            Assert.True(rows.grad!.eq(rows * 8).all().item<bool>());
        });
}
