using static Titan.Host.Tests.Ranks.Wire;

namespace Titan.Host.Tests.Ranks;

/// <summary>
/// Processes that share the experts of a small DeepSeek-V3 (8 experts, 2 for each token, 3 mixtures of dimension 128), against one that has all of them; what they count on the wire is what was planned.
/// </summary>
[Collection(RankTests.Name)]
public sealed class ExpertParallelTests(ExpertParallelTests.OneRank one) : IClassFixture<ExpertParallelTests.OneRank>
{
    private const int Steps = 20;

    // A rank of two has 2 of 4 sequences of 64 tokens: 256 rows of 128 numbers.
    private const long Rows = 2 * 64 * 2, Counts = 8 * 8;

    [TheoryWithTools("mpirun.openmpi")]
    [InlineData(2, 2, "expert_parallel_degree=2")]
    [InlineData(4, 4, "expert_parallel_degree=4")]
    [InlineData(4, 4, "expert_parallel_degree=2")]
    [InlineData(4, 4, "expert_parallel_degree=2", "data_parallel_replicate_degree=2")]
    [InlineData(4, 2, "expert_parallel_degree=4", "tensor_parallel_degree=2")]
    [InlineData(4, 2, "expert_parallel_degree=2", "tensor_parallel_degree=2", "expert_tensor_parallel_degree=2")]
    [InlineData(4, 2, "expert_parallel_degree=4", "context_parallel_degree=2")]
    [InlineData(2, 1, "tensor_parallel_degree=2")]
    public void Ranks_that_share_experts_train_as_one_rank_does(int ranks, int batchRanks, params string[] degrees)
    {
        var (losses, output) = Train(Steps, ranks, batchRanks, [.. degrees.Select(d => $"--parallelism.{d}")]);
        Assert.Equal(one.Losses.Keys, losses.Keys);
        foreach (var step in losses.Keys) Assert.Equal(one.Losses[step], losses[step], 1e-5 * one.Losses[step]);
        Assert.Contains(AsComputed, output, StringComparison.Ordinal);
    }

    /// <summary>In bf16 a row is 256 bytes; in MX 128 and 4 scales, in float8 128 and one of 4 bytes. Results, and what gives the gradient of the rows, come back in bf16.</summary>
    [TheoryWithTools("mpirun.openmpi")]
    [InlineData(null, 256, 3 * 5)]
    [InlineData("mx", 132, 3 * 7)]
    [InlineData("float8", 132, 3 * 7)]
    public void Bytes_are_computed_by_hand_where_every_expert_gets_as_many_rows(string? recipe, long row, int calls)
    {
        string[] quantized = recipe is null ? [] : [$"--model.converters=quantize.grouped_mm.{recipe}", $"--quantize.grouped_mm.{recipe}.fqns=experts", $"--quantize.grouped_mm.{recipe}.enable_float8_dispatch"];
        var output = Train(2, 2, 2, ["--training.mixed_precision_param=bfloat16", "--debug.moe_force_load_balance", "--parallelism.expert_parallel_degree=2", .. quantized]).Output;
        Assert.Contains(AsComputed, output, StringComparison.Ordinal);
        Assert.DoesNotContain("as the data decided", output, StringComparison.Ordinal);
        Assert.Equal((calls, 3 * (Counts + Rows * (2 * row + 2 * 256))), Counted(output)["ep all_to_all_single"]);
    }

    [FactWithTools("mpirun.openmpi")]
    public void Four_ranks_continue_what_two_saved()
    {
        string[] checkpointing = ["--checkpoint.enable", "--checkpoint.interval=3", "--checkpoint.no-last_save_model_only"];
        using var job = new RankJob { Ranks = 2 };
        var first = job.Run(Job(3, 2, [.. checkpointing, "--training.steps=3", "--lr_scheduler.total_steps=20", "--parallelism.expert_parallel_degree=2"]));
        Assert.True(first.ExitCode == 0, first.Output);
        using var more = new RankJob { Ranks = 4 };
        Directory.Move(Path.Combine(job.Folder, "checkpoint"), Path.Combine(more.Folder, "checkpoint"));
        var then = more.Run(Job(6, 4, [.. checkpointing, "--lr_scheduler.total_steps=20", "--parallelism.expert_parallel_degree=4"]));
        Assert.True(then.ExitCode == 0, then.Output);
        Assert.Contains("Training starts at step 4", then.Output, StringComparison.Ordinal);
        var losses = job.Losses().Concat(more.Losses()).ToList();
        Assert.Equal(6, losses.Count);
        foreach (var (step, loss) in losses) Assert.Equal(one.Losses[step], loss, 1e-5 * one.Losses[step]);
    }

    [FactWithTools("mpirun.openmpi")]
    public void Ranks_that_cannot_share_the_experts_evenly_are_refused_before_memory_is_taken()
    {
        using var job = new RankJob { Ranks = 3 };
        var end = job.Run(Job(1, 1, ["--training.local_batch_size=1", "--parallelism.expert_parallel_degree=3"]));
        Assert.Equal(2, end.ExitCode);
        Assert.Contains("layers.1.moe has 8 experts, which 3 ranks cannot share evenly; set parallelism.expert_parallel_degree to a divisor of 8", end.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("This rank holds", end.Output, StringComparison.Ordinal);
    }

    private static string[] Job(int steps, int batchRanks, string[] more) => JobFlags.With(
        [.. RankJob.DebugModel(steps, batchRanks), "--model.name=deepseek_v3", "--training.mixed_precision_param=float32"], ["--model.flavor=cpu_small", .. more]);

    private static (SortedDictionary<int, double> Losses, string Output) Train(int steps, int ranks, int batchRanks, params string[] more) => RankJob.Train(steps, ranks, batchRanks, Job(steps, batchRanks, more));

    /// <summary>The losses of one rank.</summary>
    public sealed class OneRank
    {
        /// <summary>By step.</summary>
        public SortedDictionary<int, double> Losses => field ??= Train(Steps, 1, 1).Losses;
    }
}
