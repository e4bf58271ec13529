using Titan.Abstractions;
using Titan.Training.Models;
using Titan.Training.Models.Llama3;
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
        Same(new TensorParallelJob.Options { DisableLossParallel = disableLossParallel, Fused = fused, Checkpointing = checkpointing }, ranks, 60, 60, 1e-6);

    [Theory]
    [InlineData(2)]
    [InlineData(4)]
    public void In_bf16_they_are_those_of_one_rank_but_for_rounding(int ranks) => Same(new TensorParallelJob.Options { Type = ScalarType.BFloat16 }, ranks, 35, 30, 2e-3);

    [Theory]
    [InlineData("tensorwise", 2)]
    [InlineData("tensorwise", 4)]
    [InlineData("rowwise", 2)]
    [InlineData("rowwise_with_gw_hp", 2)]
    [InlineData("mxfp8_cublas", 2)]
    [InlineData("mxfp8_rceil", 4)]
    public void Every_recipe_computes_what_it_does_on_one_rank(string recipe, int ranks) =>
        Same(new TensorParallelJob.Options { Recipe = recipe, Type = ScalarType.BFloat16 }, ranks, 24, 15, 5e-3);

    [Theory]
    [InlineData("tensorwise", 60, 28)]
    [InlineData("mxfp8_cublas", 60, 28)]
    public void In_fp32_a_recipe_differs_where_a_sum_falls_on_the_other_side_of_a_rounding(string recipe, double logits, double gradients) =>
        Same(new TensorParallelJob.Options { Recipe = recipe, Skip = ["output"] }, 2, logits > 40 ? 30 : logits, gradients, 1e-3);

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
        foreach (var (fqn, (layout, copies, _)) in ranks[1].Gradients)
        {
            var norm = fqn.EndsWith("norm.weight", StringComparison.Ordinal);
            Assert.Equal(norm ? 2 : 1, copies);
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
