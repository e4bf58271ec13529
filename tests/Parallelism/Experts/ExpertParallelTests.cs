using Titan.Abstractions;
using Titan.Models;
using static TorchSharp.torch;

namespace Titan.Parallelism.Tests.Experts;

/// <summary>The trainer with ranks that share the experts of a model: losses, norms, biases and parameters are those of one rank.</summary>
public sealed class ExpertParallelTests
{
    private static readonly Dictionary<ExpertJob, ExpertJob.Result> Known = [];

    private static readonly ParallelDimensions[] Sizes =
    [
        new(DataParallelShard: 2, ExpertParallel: 2), new(DataParallelShard: 4, ExpertParallel: 4), new(DataParallelShard: 4, ExpertParallel: 2),
        new(TensorParallel: 2), new(TensorParallel: 2, ExpertParallel: 2), new(TensorParallel: 4, ExpertParallel: 2), new(DataParallelShard: 2, TensorParallel: 2, ExpertParallel: 4),
        new(DataParallelShard: 2, TensorParallel: 2, ExpertParallel: 2), new(DataParallelShard: 2, TensorParallel: 2, ExpertParallel: 2, ExpertTensorParallel: 2),
        new(2, 2, ExpertParallel: 2), new(2, 1, TensorParallel: 2, ExpertParallel: 2), new(ContextParallel: 2, ExpertParallel: 2), new(DataParallelShard: 2, ContextParallel: 2, ExpertParallel: 4),
    ];

    public static TheoryData<string, bool> Meshes
    {
        get
        {
            var data = new TheoryData<string, bool>();
            foreach (var sizes in Sizes)
                foreach (var before in new[] { false, true }) data.Add($"{sizes}", before);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Meshes))]
    public void Ranks_that_share_experts_train_as_one_rank_does(string mesh, bool scoreBefore) => Same(new ExpertJob { ScoreBefore = scoreBefore }, Sizes.Single(s => $"{s}" == mesh));

    /// <summary>Every rank that holds a part has the whole sum of its gradient: none is left partial, or added twice, which is wrong by a tenth and more.</summary>
    [Theory]
    [MemberData(nameof(Meshes))]
    public void Gradients_of_all_parameters_are_one_ranks(string mesh, bool scoreBefore)
    {
        using var scope = NewDisposeScope();
        var job = new ExpertJob { ScoreBefore = scoreBefore };
        var (one, ranks) = (job.Gradients(null), ThreadRanks.Run(Sizes.Single(s => $"{s}" == mesh), job.Gradients));
        foreach (var (fqn, (_, expected)) in one)
        {
            var largest = expected.abs().max().item<float>();
            Assert.True(largest > 0, fqn);
            // Each rank's, not only the last that was put in.
            foreach (var (layout, value) in ranks.Select(r => r[fqn]).Where(r => r.Value.numel() > 0))
            {
                var difference = (layout.Of(expected) - value).abs().max().item<float>();
                Assert.True(difference <= 1e-4 * largest, $"{fqn}: {difference} of {largest}");
            }

            Assert.False(ExpertJob.Whole(ranks, fqn).isnan().any().item<bool>(), fqn);
        }
    }

    [Theory]
    [InlineData("full", false)]
    [InlineData("none", true)]
    public void Blocks_that_are_computed_again_and_fused_kernels_change_nothing(string checkpointing, bool fused)
    {
        var job = new ExpertJob { Checkpointing = checkpointing, Fused = fused };
        Same(job, new ParallelDimensions(DataParallelShard: 2, TensorParallel: 2, ExpertParallel: 2));
        Same(job, new ParallelDimensions(DataParallelShard: 4, ExpertParallel: 2));
    }

    /// <summary>A rank casts the columns of an expert over the rows of all ranks, as one rank does: the bound is that of bf16.</summary>
    [Theory]
    [InlineData("float8", false), InlineData("float8", true), InlineData("mx", false), InlineData("mx", true)]
    public void Float8_experts_stay_near_one_ranks_with_rows_in_float8_and_without(string recipe, bool dispatch)
    {
        using var scope = NewDisposeScope();
        var job = new ExpertJob { Recipe = recipe, Float8Dispatch = dispatch, Type = "bfloat16" };
        var one = (job with { Float8Dispatch = false }).Alone();
        foreach (var rank in job.Over(new ParallelDimensions(DataParallelShard: 4, ExpertParallel: 2)))
            foreach (var (expected, loss) in one.Losses.Zip(rank.Losses)) Assert.Equal(expected, loss, 2e-3 * expected);
    }

    [Fact]
    public void A_recipe_whose_blocks_a_split_would_cut_is_refused()
    {
        // Experts of 32 features hidden leave 16 on each of two ranks; blocks are of 32.
        var job = new ExpertJob { Recipe = "mx" };
        var error = Assert.Throws<InvalidOperationException>(() => job.Over(new ParallelDimensions(TensorParallel: 2)));
        Assert.Contains("'layers.0.moe.experts.w1' ([8, 32, 64]) leaves 16 of 32 per rank; its recipe needs multiples of 32; leave the layer out of fqns", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Shared_experts_compute_while_rows_travel()
    {
        var seen = ThreadRanks.Run(new ParallelDimensions(DataParallelShard: 2, ExpertParallel: 2), mesh =>
        {
            using var scope = NewDisposeScope();
            var (model, _) = ExpertJob.Model(new ExpertJob(), mesh);
            var order = new List<string>();
            var (fqn, layer) = model.ExpertLayers[0];
            layer.Exchange = new Noted(layer.Exchange!, order);
            ((IActivationBoundary)model.named_modules().Single(m => m.name == $"{fqn}.shared_experts").module).AfterForward = y =>
            {
                order.Add("shared experts");
                return y;
            };
            using (no_grad()) model.call(new ModelInput(arange(64, dtype: ScalarType.Int64).reshape(2, 32)));
            return order;
        });
        Assert.All(seen, order => Assert.Equal(["dispatched", "shared experts", "arrived", "combined"], order));
    }

    private sealed class Noted(IExpertExchange inner, List<string> order) : IExpertExchange
    {
        public ExpertRows Dispatch(Tensor rows, Tensor counts, int multiple)
        {
            var sent = inner.Dispatch(rows, counts, multiple);
            order.Add("dispatched");
            return ExpertRows.Arriving(() =>
            {
                order.Add("arrived");
                return sent.Rows;
            }, sent.Groups, sent.State);
        }

        public Tensor Combine(Tensor results, ExpertRows dispatched)
        {
            order.Add("combined");
            return inner.Combine(results, dispatched);
        }
    }

    [Fact]
    public void Twenty_steps_stay_together() => Same(new ExpertJob { Steps = 20 }, new ParallelDimensions(DataParallelShard: 4, ExpertParallel: 2));

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void All_tokens_may_go_to_the_experts_of_one_rank_and_none_to_another(int topK)
    {
        // 4 ranks with 2 experts each: all rows go to ranks 1 and 3, or to rank 1 alone.
        var job = new ExpertJob { Bias = topK == 1 ? [0, 0, 0, 100, 0, 0, 0, 0] : [0, 0, 0, 100, 0, 0, 50, 0], TopK = topK, Score = RouterScore.Sigmoid };
        Same(job, new ParallelDimensions(DataParallelShard: 4, ExpertParallel: 4));
        Same(job, new ParallelDimensions(DataParallelShard: 2, TensorParallel: 2, ExpertParallel: 4));
    }

    [Fact]
    public void More_ranks_than_experts_share_their_rows()
    {
        var job = new ExpertJob { Experts = 2 };
        var ranks = Same(job, new ParallelDimensions(DataParallelShard: 4));
        // w1 [2, 32, 64]: a quarter of each expert's rows.
        Assert.All(ranks, r => Assert.Equal([2, 8, 64], r.Parameters["layers.0.moe.experts.w1"].Layout.Shape));
        ranks = Same(job, new ParallelDimensions(DataParallelShard: 4, ExpertParallel: 2));
        Assert.Equal([0L, 1, 0, 1], ranks.Select(r => r.Parameters["layers.0.moe.experts.w2"].Layout.Offset[0]));
        Assert.All(ranks, r => Assert.Equal([1, 32, 32], r.Parameters["layers.0.moe.experts.w2"].Layout.Shape));
    }

    [Theory]
    [InlineData(2, 8)]
    [InlineData(4, 8)]
    [InlineData(4, 2)]
    public void Sharding_alone_is_equal_to_the_bit(int shard, int experts)
    {
        using var scope = NewDisposeScope();
        // As many micro-batches on one rank as there are ranks.
        var job = new ExpertJob { Experts = experts, MicroBatches = 1 };
        var (one, many) = ((job with { MicroBatches = shard }).Alone(), job.Over(new ParallelDimensions(DataParallelShard: shard)));
        Assert.All(many, r => Assert.Equal(one.Biases, r.Biases));
        foreach (var fqn in one.Parameters.Keys) Assert.True(one.Parameters[fqn].Value.equal(ExpertJob.Whole(many.Select(r => r.Parameters), fqn)).all().item<bool>(), fqn);
    }

    private static ExpertJob.Result[] Same(ExpertJob job, ParallelDimensions sizes)
    {
        using var scope = NewDisposeScope();
        if (!Known.TryGetValue(job, out var one)) Known[job] = one = job.Alone();
        var ranks = job.Over(sizes);
        foreach (var rank in ranks)
        {
            foreach (var (expected, loss) in one.Losses.Zip(rank.Losses)) Assert.Equal(expected, loss, 1e-5 * expected);
            // Printed with four decimals.
            foreach (var (expected, norm) in one.Norms.Zip(rank.Norms)) Assert.Equal(expected, norm, 1.1e-4);
            foreach (var (expected, bias) in one.Biases.Zip(rank.Biases)) Assert.Equal(expected, bias, 1e-6);
        }

        foreach (var fqn in one.Parameters.Keys)
        {
            var (expected, actual) = (one.Parameters[fqn].Value, ExpertJob.Whole(ranks.Select(r => r.Parameters), fqn));
            var (difference, largest) = ((expected - actual).abs().max().item<float>(), expected.abs().max().item<float>());
            Assert.True(difference <= 2e-3 * largest, $"{fqn}: {difference} of {largest}");
        }

        return ranks;
    }
}
