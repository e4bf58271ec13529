using Titan.Abstractions;
using Titan.Training.Configuration;
using static TorchSharp.torch;

namespace Titan.Families.Tests;

/// <summary>One rank is the oracle of many, for every family.</summary>
public sealed class RankTests
{
    [Theory]
    [InlineData("qwen3", "none"), InlineData("qwen3_moe", "none"), InlineData("deepseek_v3_qlora", "none"), InlineData("llama4", "none"), InlineData("llama4_irope", "none"), InlineData("gpt_oss", "none")]
    [InlineData("qwen3_moe", "full"), InlineData("gpt_oss", "selective")]
    public void Two_ranks_that_share_the_weights_are_one_rank_to_the_bit(string name, string checkpointing)
    {
        using var scope = NewDisposeScope();
        var job = new FamilyJob(name);
        job = job with { Config = job.Config with { ActivationCheckpoint = new ActivationCheckpointSection { Mode = checkpointing, SelectiveAcOption = "op" } } };
        var alone = job.Alone();
        var ranks = job.Over(new ParallelDimensions(DataParallelShard: 2));
        Assert.All(ranks, r => Assert.Equal(alone.Losses, r.Losses));
        foreach (var (fqn, (_, value)) in alone.Values) Assert.True(FamilyJob.Whole(ranks, fqn).eq(value).all().item<bool>(), fqn);
    }

    [Theory]
    [InlineData("deepseek_v3_qlora"), InlineData("llama4_top2"), InlineData("gpt_oss")]
    public void A_run_that_was_stopped_goes_on_to_the_bit_with_the_biases_of_its_experts(string name)
    {
        using var scope = NewDisposeScope();
        using var folder = new TestFolder();
        var job = new FamilyJob(name);
        job = job with { Config = job.Config with { Training = job.Config.Training with { Steps = 4 }, Checkpoint = new CheckpointSection { Enable = true } } };
        var whole = (job with { Folder = folder.At("whole") }).Alone();
        var parts = job with { Folder = folder.At("parts") };
        var first = (parts with { Stop = 2 }).Alone();
        var rest = parts.Alone();
        Assert.Equal(whole.Losses, [.. first.Losses, .. rest.Losses]);
        foreach (var (fqn, (_, value)) in whole.Values) Assert.True(rest.Values[fqn].Value.eq(value).all().item<bool>(), fqn);
        Assert.Contains(whole.Values, v => v.Key.EndsWith("expert_bias", StringComparison.Ordinal) && v.Value.Value.abs().max().item<float>() > 0);
    }

    [Theory]
    [InlineData("qwen3_moe"), InlineData("deepseek_v3"), InlineData("deepseek_v3_qlora"), InlineData("llama4"), InlineData("llama4_irope")]
    public void Two_ranks_that_share_the_layers_are_one_rank_but_for_rounding(string name)
    {
        using var scope = NewDisposeScope();
        var job = new FamilyJob(name);
        job = job with { Config = job.Config with { Training = job.Config.Training with { MixedPrecisionParam = "float32" } } };
        var alone = job.Alone();
        var ranks = job.Over(new ParallelDimensions(TensorParallel: 2));
        foreach (var (loss, one) in ranks[0].Losses.Zip(alone.Losses)) Assert.Equal(one, loss, 2e-5 * one);
    }

    [Theory]
    [InlineData("qwen3_moe"), InlineData("deepseek_v3_qlora"), InlineData("llama4"), InlineData("gpt_oss")]
    public void Two_ranks_that_share_the_experts_are_one_rank_but_for_rounding(string name)
    {
        using var scope = NewDisposeScope();
        var job = new FamilyJob(name);
        job = job with { Config = job.Config with { Training = job.Config.Training with { MixedPrecisionParam = "float32" } } };
        var alone = job.Alone();
        var ranks = job.Over(new ParallelDimensions(DataParallelShard: 2, ExpertParallel: 2));
        foreach (var (loss, one) in ranks[0].Losses.Zip(alone.Losses)) Assert.Equal(one, loss, 2e-5 * one);
    }

    [Fact]
    public void Experts_of_another_kind_are_refused_by_name_where_ranks_share_layers()
    {
        var error = Assert.Throws<InvalidOperationException>(() => new FamilyJob("gpt_oss").Over(new ParallelDimensions(TensorParallel: 2)));
        Assert.Contains("experts of kind GptOssGroupedExperts are not served by tensor parallelism", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("gpt_oss", "in layers.0.attention its softmax has a sink beside the keys")]
    [InlineData("llama4_irope", "its attention stops at document borders")]
    public void What_needs_whole_sequences_is_refused_by_name_where_ranks_share_them(string name, string why)
    {
        var error = Assert.Throws<InvalidOperationException>(() => new FamilyJob(name).Over(new ParallelDimensions(ContextParallel: 2)));
        Assert.Contains(why, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("qwen3"), InlineData("deepseek_v3_qlora"), InlineData("llama4")]
    public void Two_ranks_that_share_sequences_are_one_rank_but_for_rounding(string name)
    {
        using var scope = NewDisposeScope();
        var job = new FamilyJob(name);
        job = job with { Config = job.Config with { Training = job.Config.Training with { MixedPrecisionParam = "float32" } } };
        var alone = job.Alone();
        var ranks = job.Over(new ParallelDimensions(ContextParallel: 2));
        foreach (var (loss, one) in ranks[0].Losses.Zip(alone.Losses)) Assert.Equal(one, loss, 2e-5 * one);
    }
}
