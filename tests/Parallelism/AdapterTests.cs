using Titan.Abstractions;
using Titan.Models;

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
}
