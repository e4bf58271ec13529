using Titan.Abstractions;
using Titan.Models;
using static TorchSharp.torch;

namespace Titan.Parallelism.Tests;

/// <summary>Frozen weights and trainable ones that a converter added, over ranks.</summary>
public sealed class AdapterTests
{
    [Theory]
    [InlineData(null, BlockCheckpointing.None)]
    [InlineData(null, BlockCheckpointing.Full)]
    [InlineData("tensorwise", BlockCheckpointing.None)]
    [InlineData("mxfp8_rceil", BlockCheckpointing.Full)]
    public void On_two_ranks_they_are_to_the_bit_those_of_one_rank_with_the_same_micro_batches(string? recipe, BlockCheckpointing checkpointing)
    {
        var options = new TinyJob.Options { Recipe = recipe, Adapters = true, Checkpointing = checkpointing, Float8Gather = true, Steps = 4 };
        TinyJob.Result one = TinyJob.Alone(options, 8, 2), start = TinyJob.Alone(options with { Steps = 0 }, 8, 2);
        var two = TinyJob.Over(new ParallelDimensions(DataParallelShard: 2), options, 8);
        Assert.Equal(one.Losses, two[0].Losses);
        Assert.True(one.Losses[^1] < one.Losses[0], string.Join(", ", one.Losses));
        foreach (var (fqn, (_, value)) in one.Parameters)
        {
            Assert.False(TinyJob.Whole(two, fqn).ne(value).any().item<bool>(), fqn);
            Assert.Equal(fqn.Contains("lora_", StringComparison.Ordinal), value.ne(start.Parameters[fqn].Value).any().item<bool>());
        }
    }

    [Theory]
    [InlineData(2, BlockCheckpointing.None, "layers.*")]
    [InlineData(4, BlockCheckpointing.Full, "layers.*", "output")]
    [InlineData(2, BlockCheckpointing.None, "layers.0.attention.wo", "w1")]
    public void Split_over_ranks_output_and_gradients_are_those_of_one_rank(int ranks, BlockCheckpointing checkpointing, params string[] targets)
    {
        var options = new TensorParallelJob.Options { Adapters = targets, Checkpointing = checkpointing };
        var one = TensorParallelJob.Alone(options);
        var many = TensorParallelJob.Over(ranks, options);
        Assert.All(many, r => Assert.Equal(one.Loss, r.Loss, 1e-5));
        Assert.True(TensorParallelJob.Sqnr(one.Logits, TensorParallelJob.Logits(many, options)) >= 100);
        Assert.NotEmpty(one.Gradients);
        Assert.Equal(one.Gradients.Keys, many[0].Gradients.Keys);
        foreach (var (fqn, (_, _, gradient)) in one.Gradients)
        {
            Assert.Contains(".lora_", fqn, StringComparison.Ordinal);
            var bound = 1e-5 * gradient.abs().max().item<float>();
            Assert.True((gradient - TensorParallelJob.Gradient(many, fqn)).abs().max().item<float>() <= bound, fqn);
        }

        // Of a layer whose rows are split, A is whole on every rank; of one whose columns are, B.
        foreach (var (fqn, (layout, replicas, _)) in many[1].Gradients)
        {
            var isRowwise = fqn.Contains(".wo.", StringComparison.Ordinal) || fqn.Contains(".w2.", StringComparison.Ordinal);
            var isWhole = fqn.Contains(isRowwise ? ".lora_b." : ".lora_a.", StringComparison.Ordinal);
            Assert.Equal((isWhole, isWhole ? ranks : 1), (layout.IsWhole, replicas));
        }
    }

    [Theory]
    [InlineData("tensorwise", 1)]
    [InlineData("tensorwise", 2)]
    [InlineData("mxfp8_rceil", 2)]
    public void Over_converted_layers_that_are_split_they_are_those_of_one_rank_but_for_rounding(string recipe, int shard)
    {
        var options = new TensorParallelJob.Options { Adapters = ["layers.*"], Recipe = recipe, Skip = ["output"], Type = ScalarType.BFloat16, Shard = shard };
        var one = TensorParallelJob.Alone(options with { Shard = 1 });
        var many = TensorParallelJob.Over(2, options);
        Assert.All(many, r => Assert.Equal(one.Loss, r.Loss, 2e-3));
        foreach (var (fqn, (_, _, gradient)) in one.Gradients)
            Assert.True(TensorParallelJob.Sqnr(gradient * shard, TensorParallelJob.Gradient(many, fqn)) >= 20, $"{fqn}: {TensorParallelJob.Sqnr(gradient * shard, TensorParallelJob.Gradient(many, fqn)):F1} dB");
    }

    [Fact]
    public void What_a_converter_adds_changes_no_other_initial_weight()
    {
        var plain = TinyJob.Alone(new TinyJob.Options { Steps = 0 }, 4);
        var adapted = TinyJob.Alone(new TinyJob.Options { Steps = 0, Adapters = true }, 4);
        foreach (var (fqn, (_, value)) in plain.Parameters) Assert.False(adapted.Parameters[fqn].Value.ne(value).any().item<bool>(), fqn);
        Assert.Equal(plain.Parameters.Count + 2 * 2 * 7, adapted.Parameters.Count);
        // Two of one shape are not the same numbers.
        Assert.True(adapted.Parameters["layers.0.attention.wk.lora_a.weight"].Value.ne(adapted.Parameters["layers.0.attention.wv.lora_a.weight"].Value).any().item<bool>());
    }

    [Fact]
    public void A_wrapper_around_a_wrapper_keeps_what_that_one_added()
    {
        var model = TensorParallelJob.Build(new TensorParallelJob.Options { Adapters = ["wq"] }, new ParallelDimensions());
        var (fqn, slot, _) = new ModelSlots(model).Linears.First(l => l.Fqn.EndsWith(".wq", StringComparison.Ordinal));
        slot.Wrap(new Twice(slot.Module), "test");
        Assert.Contains(model.named_parameters(), p => p.name == $"{fqn}.lora_a.weight");
        Assert.Equal([("lora_a", TensorParallelStyle.SequenceParallel), ("lora_b", TensorParallelStyle.Colwise)], ((LinearWrapper)slot.Module).SplitChildren(TensorParallelStyle.Colwise));
    }

    private sealed class Twice(nn.Module<Tensor, Tensor> inner) : LinearWrapper(nameof(Twice), inner)
    {
        public override Activation Forward(Activation x) => new(2 * RunInner(x));
    }
}
