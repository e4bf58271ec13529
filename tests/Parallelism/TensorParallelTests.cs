using Titan.Abstractions;
using Titan.Models;
using Titan.Training.Models;
using Titan.Models.Llama3;
using static TorchSharp.torch;

namespace Titan.Parallelism.Tests;

public sealed class TensorParallelTests
{
    [Theory]
    [InlineData(2, false, false, BlockCheckpointing.None)]
    [InlineData(4, false, false, BlockCheckpointing.None)]
    [InlineData(2, true, false, BlockCheckpointing.None)]
    [InlineData(2, false, true, BlockCheckpointing.Full)]
    [InlineData(4, true, true, BlockCheckpointing.FeedForward)]
    public void In_fp32_output_and_gradients_are_those_of_one_rank(int ranks, bool disableLossParallel, bool fused, BlockCheckpointing checkpointing) =>
        Same(new TensorParallelJob.Options { DisableLossParallel = disableLossParallel, Fused = fused, Checkpointing = checkpointing }, ranks, 110, 110, 1e-6);

    [Theory]
    [InlineData(2)]
    [InlineData(4)]
    public void In_bf16_they_are_those_of_one_rank_but_for_rounding(int ranks) => Same(new TensorParallelJob.Options { Type = ScalarType.BFloat16 }, ranks, 50, 38, 1e-3);

    [Theory]
    [InlineData("tensorwise", 2)]
    [InlineData("tensorwise", 4)]
    [InlineData("rowwise", 2)]
    [InlineData("rowwise_with_gw_hp", 2)]
    [InlineData("mxfp8_cublas", 2)]
    [InlineData("mxfp8_rceil", 4)]
    public void Every_recipe_computes_what_it_does_on_one_rank(string recipe, int ranks) =>
        Same(new TensorParallelJob.Options { Recipe = recipe, Type = ScalarType.BFloat16 }, ranks, 40, 20, 2e-3);

    [Theory]
    [InlineData("tensorwise", 110)]
    [InlineData("mxfp8_cublas", 40)]
    public void In_fp32_casts_are_those_of_one_rank_and_so_is_what_they_are_multiplied_to(string recipe, double gradients) =>
        // Every byte of every tensorwise cast is that of one rank, else this would be some 30 dB. Blocks of a gradient have small scales, where a sum in another order shows.
        Same(new TensorParallelJob.Options { Recipe = recipe, Skip = ["output"] }, 2, 110, gradients, 1e-6);

    [Theory]
    [InlineData(null, false, 110)]
    [InlineData("tensorwise", false, 110)]
    [InlineData("tensorwise", true, 110)]
    [InlineData("rowwise", true, 30)]
    [InlineData("mxfp8_cublas", true, 40)]
    public void With_rows_sharded_besides_gradients_are_those_of_one_rank(string? recipe, bool float8Gather, double bound)
    {
        var options = new TensorParallelJob.Options { Recipe = recipe, Skip = ["output"], Shard = 2, Float8Gather = float8Gather };
        var one = TensorParallelJob.Alone(options with { Shard = 1, Float8Gather = false });
        var many = TensorParallelJob.Over(2, options);
        Assert.Equal(4, many.Length);
        // The two that shard the same rows read the same tokens, and gradients are summed.
        foreach (var (fqn, (_, _, gradient)) in one.Gradients)
            Assert.True(TensorParallelJob.Sqnr(gradient * 2, TensorParallelJob.Gradient(many, fqn)) >= bound, $"{fqn}: {TensorParallelJob.Sqnr(gradient * 2, TensorParallelJob.Gradient(many, fqn)):F1} dB");
    }

    [Theory]
    [InlineData("tensorwise")]
    [InlineData("mxfp8_cublas")]
    public void Recomputation_changes_no_bit(string recipe)
    {
        var options = new TensorParallelJob.Options { Recipe = recipe, Type = ScalarType.BFloat16 };
        var (kept, again) = (TensorParallelJob.Over(2, options), TensorParallelJob.Over(2, options with { Checkpointing = BlockCheckpointing.Full }));
        Assert.Equal(kept[0].Loss, again[0].Loss);
        foreach (var fqn in kept[0].Gradients.Keys) Assert.True(kept[1].Gradients[fqn].Gradient.equal(again[1].Gradients[fqn].Gradient).all().item<bool>(), fqn);
    }

    [Fact]
    public void Norms_are_on_every_rank_and_all_else_is_on_one()
    {
        var ranks = TensorParallelJob.Over(2, new TensorParallelJob.Options());
        foreach (var (fqn, (layout, replicas, _)) in ranks[1].Gradients)
        {
            var norm = fqn.EndsWith("norm.weight", StringComparison.Ordinal);
            Assert.Equal(norm ? 2 : 1, replicas);
            Assert.Equal(norm, layout.IsWhole);
        }

        Assert.Equal(Tuple.Create(0L, 128L), Tuple.Create(ranks[1].Gradients["layers.0.attention.wo.weight"].Layout.Offset[0], ranks[1].Gradients["layers.0.attention.wo.weight"].Layout.Offset[1]));
        Assert.Equal(128, ranks[1].Gradients["tok_embeddings.weight"].Layout.Offset[0]);
        foreach (var fqn in ranks[0].Gradients.Keys.Where(k => k.EndsWith("norm.weight", StringComparison.Ordinal)))
            Assert.True(ranks[0].Gradients[fqn].Gradient.equal(ranks[1].Gradients[fqn].Gradient).all().item<bool>(), fqn);
    }

    [Fact]
    public void A_layer_that_is_not_converted_among_readers_makes_the_activation_travel_itself()
    {
        var options = new TensorParallelJob.Options { Recipe = "tensorwise", Skip = ["attention.wk", "output"], Type = ScalarType.BFloat16 };
        var notes = TensorParallelJob.Over(2, options)[0].Notes;
        Assert.Contains("attention (2), gathered input: the compute dtype; gradient: dyn_ten_e5m2", notes);
        Assert.Contains("feed_forward (2), gathered input: dyn_ten_e4m3; gradient: dyn_ten_e5m2", notes);
    }

    private static void Same(TensorParallelJob.Options options, int ranks, double output, double gradients, double loss)
    {
        var one = TensorParallelJob.Alone(options);
        var many = TensorParallelJob.Over(ranks, options);
        Assert.All(many, m => Assert.Equal(many[0].Loss, m.Loss));
        Assert.True(Math.Abs(one.Loss - many[0].Loss) <= loss * one.Loss, $"loss {many[0].Loss}, on one rank {one.Loss}");
        var least = new List<string>();
        Check("logits", TensorParallelJob.Sqnr(one.Logits, TensorParallelJob.Logits(many, options)), output);
        foreach (var (fqn, (_, _, gradient)) in one.Gradients) Check(fqn, TensorParallelJob.Sqnr(gradient, TensorParallelJob.Gradient(many, fqn)), gradients);
        Assert.True(least.Count == 0, string.Join("; ", least));

        void Check(string name, double sqnr, double bound)
        {
            if (!(sqnr >= bound)) least.Add($"{name}: {sqnr:F1} dB, expected {bound}");
        }
    }
}
