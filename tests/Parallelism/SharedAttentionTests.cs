using Titan.Abstractions;
using Titan.Plugins.ContextParallel;
using static TorchSharp.torch;

namespace Titan.Parallelism.Tests;

/// <summary>Attention over ranks that share sequences, against ATen's attention of whole sequences in fp64: values, and the gradients of queries, keys and values.</summary>
public sealed class SharedAttentionTests
{
    private const long Batch = 2, Dimension = 8;

    public static TheoryData<int, RotateMethod, long, bool, int?> Cases
    {
        get
        {
            var cases = new TheoryData<int, RotateMethod, long, bool, int?>();
            foreach (var method in Enum.GetValues<RotateMethod>())
            {
                cases.Add(2, method, 2, true, null);
                cases.Add(2, method, 1, false, null);
                cases.Add(3, method, 4, true, null);
                cases.Add(4, method, 2, true, 7);
                cases.Add(2, method, 2, false, 5);
                cases.Add(4, method, 2, true, 2);
            }

            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Ranks_that_share_sequences_attend_as_one_rank_does(int ranks, RotateMethod method, long kvHeads, bool causal, int? window)
    {
        using var scope = NewDisposeScope();
        var shape = new AttentionShape(4, kvHeads, Dimension, causal, window);
        long length = 12L * ranks;
        Tensor q = Waves(4, length, 0.7), k = Waves(kvHeads, length, 1.3), v = Waves(kvHeads, length, 2.1), gradient = Waves(4, length, 3.7);
        var expected = Whole(shape, q, k, v, gradient);
        var parts = ThreadRanks.Run(new ParallelDimensions(ContextParallel: ranks), mesh => Part(shape, mesh.Group(MeshAxis.ContextParallel), method, q, k, v, gradient));
        for (var i = 0; i < expected.Length; i++)
        {
            var whole = zeros_like(expected[i]);
            for (var rank = 0; rank < ranks; rank++) whole.index_copy_(2, new SequencePieces(ranks).Places(rank, length, CPU), parts[rank][i].to(ScalarType.Float64));
            Assert.True(expected[i].abs().max().item<double>() > 0.01, "a gradient of nothing proves nothing");
            Assert.InRange((whole - expected[i]).abs().max().item<double>(), 0, 2e-6);
        }
    }

    /// <summary>As where a sequence has many tiles: heights and widths that do not divide the pieces, tiles of which some rows see nothing.</summary>
    [Theory]
    [InlineData(true, null)]
    [InlineData(true, 70)]
    [InlineData(false, 70)]
    [InlineData(false, null)]
    public void What_is_seen_does_not_depend_on_the_tiles(bool causal, int? window)
    {
        using var scope = NewDisposeScope();
        var shape = new AttentionShape(4, 2, Dimension, causal, window);
        const long queries = 50, keys = 1100;
        var attention = new BlockAttention(shape, tileScores: 1024 * 4 * Batch * 7);
        Tensor q = Waves(4, queries, 0.7), k = Waves(2, keys, 1.3), v = Waves(2, keys, 2.1), gradient = Waves(4, queries, 3.7);
        // The last queries of the sequence.
        var at = keys - queries;
        var seen = BlockAttention.Seen.Nothing(q);
        attention.Look(seen, q, at, k.narrow(2, 0, 1030), v.narrow(2, 0, 1030), 0);
        attention.Look(seen, q, at, k.narrow(2, 1030, 70), v.narrow(2, 1030, 70), 1030);
        Tensor dq = zeros_like(q), dk = zeros_like(k), dv = zeros_like(v), delta = (gradient * seen.Output).sum(-1, keepdim: true);
        attention.LookBack(seen.LogSumExp, gradient, delta, q, at, k, v, 0, dq, dk, dv);
        var whole = Whole(shape, cat([zeros(Batch, 4, at, Dimension), q], 2), k, v, cat([zeros(Batch, 4, at, Dimension), gradient], 2));
        foreach (var (expected, actual) in new[] { (whole[0].narrow(2, at, queries), seen.Output), (whole[1].narrow(2, at, queries), dq), (whole[2], dk), (whole[3], dv) })
            Assert.InRange((expected - actual).abs().max().item<double>(), 0, 5e-6);
    }

    [Fact]
    public void Every_rank_has_as_many_visible_keys_as_any_other()
    {
        var pieces = new SequencePieces(4);
        var work = Enumerable.Range(0, 4).Select(rank => pieces.Places(rank, 64, CPU).sum().item<long>()).ToList();
        Assert.Single(work.Distinct());
        Assert.Equal(Enumerable.Range(0, 64).Select(i => (long)i), Enumerable.Range(0, 4).SelectMany(rank => pieces.Places(rank, 64, CPU).data<long>().ToArray()).Order());
    }

    [Fact]
    public void A_sequence_that_cannot_be_cut_is_refused()
    {
        var e = Assert.Throws<TitanException>(() => new SequencePieces(3).Places(0, 32, CPU));
        Assert.Equal(ExitCode.Usage, e.Code);
        Assert.Contains("a sequence of 32 tokens; expected a multiple of 2 * 3", e.Message, StringComparison.Ordinal);
    }

    private static Tensor Waves(long heads, long length, double phase) =>
        (arange(Batch * heads * length * Dimension, dtype: ScalarType.Float64) * 0.7391 + phase).sin().reshape(Batch, heads, length, Dimension).to(ScalarType.Float32);

    /// <summary>Output and gradients of q, k, v, in fp64 by ATen.</summary>
    private static Tensor[] Whole(AttentionShape shape, Tensor q, Tensor k, Tensor v, Tensor gradient)
    {
        Tensor[] inputs = [.. new[] { q, k, v }.Select(x => x.to(ScalarType.Float64).detach().requires_grad_())];
        var length = q.shape[2];
        var mask = ones(length, length, dtype: ScalarType.Bool);
        if (shape.Causal) mask = mask.tril();
        if (shape.Window is { } window) mask = mask.triu(1 - window);
        long groups = shape.Heads / shape.KvHeads;
        var output = nn.functional.scaled_dot_product_attention(inputs[0], inputs[1].repeat_interleave(groups, 1), inputs[2].repeat_interleave(groups, 1), mask, 0, false);
        output.backward([gradient.to(ScalarType.Float64)]);
        return [output.detach(), .. inputs.Select(i => i.grad!)];
    }

    private static Tensor[] Part(AttentionShape shape, IProcessGroup group, RotateMethod method, params Tensor[] whole)
    {
        using var scope = NewDisposeScope();
        var pieces = new SequencePieces(group.Size);
        var places = pieces.Places(group.Rank, whole[0].shape[2], CPU);
        Tensor[] own = [.. whole.Select(w => w.index_select(2, places))];
        Tensor[] inputs = [.. own[..3].Select(x => x.requires_grad_())];
        var output = SharedAttention.Apply(inputs[0], inputs[1], inputs[2], shape, Rotation.Of(method, group), pieces, group.Rank);
        output.backward([own[3]]);
        BackwardFailure.ThrowIfAny();
        return [.. new[] { output.detach() }.Concat(inputs.Select(i => i.grad!)).Select(t => t.clone().DetachFromDisposeScope())];
    }
}
