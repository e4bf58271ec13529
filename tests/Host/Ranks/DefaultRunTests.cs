using System.Text.RegularExpressions;

namespace Titan.Host.Tests.Ranks;

/// <summary>The commands that a user pastes.</summary>
[Collection(RankTests.Name)]
public sealed class DefaultRunTests
{
    [FactWithTools("mpirun.openmpi")]
    public void Four_ranks_learn_with_the_defaults_and_only_the_first_speaks()
    {
        using var job = new RankJob();
        // As it comes, but for the length.
        var end = job.Run("--training.steps", "6", "--lr_scheduler.warmup_steps", "2", "--metrics.log_freq", "1");
        Assert.True(end.ExitCode == 0, end.Output);
        var losses = job.Losses();
        Assert.Equal(6, losses.Count);
        Assert.True(losses[6] < losses[1] - 0.5, end.Output);
        Assert.Contains(Wire.AsComputed, end.Output, StringComparison.Ordinal);
        Assert.Single(Regex.Matches(end.Output, "Training completed"));
        Assert.DoesNotContain("[rank", end.Output, StringComparison.Ordinal);
        Assert.Equal(6, Regex.Matches(end.Output, @"step: +\d+  loss").Count);
    }

    [FactWithTools("mpirun.openmpi")]
    public void The_float8_command_of_the_documentation_runs_on_four_ranks()
    {
        using var job = new RankJob { Environment = { ["CONFIG_FILE"] = Path.Combine(RankJob.Repository, "configs", "llama3", "debug_model.toml") } };
        var end = job.Run("--model.converters=quantize.linear.float8", "--quantize.linear.float8.enable_fsdp_float8_all_gather",
            "--quantize.linear.float8.precompute_float8_dynamic_scale_for_fsdp", "--compile.enable", "--training.steps", "3", "--training.seq_len", "64", "--training.local_batch_size", "1");
        Assert.True(end.ExitCode == 0, end.Output);
        Assert.Contains(Wire.AsComputed, end.Output, StringComparison.Ordinal);
        Assert.Equal((1, 42 * 4), Wire.Counted(end.Output)["dp_shard all_reduce"]);
    }

    [FactWithTools("mpirun.openmpi")]
    public void Two_ranks_train_a_mixture_and_send_what_is_computed_beforehand()
    {
        using var job = new RankJob { Ranks = 2, Environment = { ["CONFIG_FILE"] = Path.Combine(RankJob.Repository, "configs", "llama4", "cpu_small.toml") } };
        var end = job.Run("--training.steps", "3", "--training.seq_len", "64", "--training.local_batch_size", "2", "--metrics.log_freq", "1");
        Assert.True(end.ExitCode == 0, end.Output);
        Assert.Contains(Wire.AsComputed, end.Output, StringComparison.Ordinal);
        // The load of both layers' experts, in one message.
        Assert.Equal((1, 2 * 8 * 4), Wire.Counted(end.Output)["dp_shard all_reduce"]);
        Assert.Matches(@"step: +3  loss: .*moe_load: [1-8]\.\d\d", end.Output);
    }

    [FactWithTools("mpirun.openmpi")]
    public void Ranks_that_are_named_speak_and_say_who_they_are()
    {
        using var job = new RankJob { Ranks = 3, Environment = { ["LOG_RANK"] = "0,2" } };
        var end = job.Run("--training.steps", "2", "--training.seq_len", "32", "--training.local_batch_size", "1", "--lr_scheduler.warmup_steps", "1");
        Assert.True(end.ExitCode == 0, end.Output);
        Assert.Matches(new Regex(@"^\[rank 0\] .*Training completed", RegexOptions.Multiline), end.Output);
        Assert.Matches(new Regex(@"^\[rank 2\]   " + Wire.AsComputed, RegexOptions.Multiline), end.Output);
        Assert.DoesNotContain("[rank 1]", end.Output, StringComparison.Ordinal);
    }

    [FactWithTools("mpiexec.mpich")]
    public void MPICH_runs_the_same_job()
    {
        using var job = new RankJob { Launcher = ["mpiexec.mpich", "-np", "2"], Ranks = 2 };
        var end = job.Run(RankJob.DebugModel(2, 2));
        Assert.True(end.ExitCode == 0, end.Output);
        Assert.Contains("mesh dp_shard 2", end.Output, StringComparison.Ordinal);
        Assert.Contains(Wire.AsComputed, end.Output, StringComparison.Ordinal);
    }
}
