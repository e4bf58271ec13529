using System.Text.Json;

namespace Titan.Host.Tests.Ranks;

/// <summary>What the metrics of several ranks say.</summary>
[Collection(RankTests.Name)]
public sealed class RankMetricsTests
{
    /// <summary>
    /// In step 1 the weights are the same on any number of ranks. One rank with one sequence has the loss of the first sequence; two ranks with a sequence each have the mean,
    /// so the second is known, and the larger of the two.
    /// </summary>
    [FactWithTools("mpirun.openmpi")]
    public void The_largest_loss_is_that_of_the_worst_rank_and_every_rank_can_write_its_own_events()
    {
        using var one = new RankJob { Ranks = 1 };
        Run(one, "--training.global_batch_size=1");
        using var two = new RankJob { Ranks = 2 };
        Run(two, "--training.global_batch_size=2", "--metrics.enable_tensorboard", "--metrics.save_for_all_ranks");
        var first = Metric(one, "loss_metrics/global_avg_loss");
        var mean = Metric(two, "loss_metrics/global_avg_loss");
        Assert.Equal(Math.Max(first, 2 * mean - first), Metric(two, "loss_metrics/global_max_loss"), 1e-5);
        Assert.True(Metric(two, "loss_metrics/global_max_loss") > mean + 1e-4, "the two sequences must differ for this to tell anything");
        Assert.Equal(first, Metric(one, "loss_metrics/global_max_loss"), 1e-9);

        var began = Assert.Single(Directory.GetDirectories(Path.Combine(two.Folder, "tb")));
        Assert.Equal(["rank_0", "rank_1"], Directory.GetDirectories(began).Select(Path.GetFileName).Order());
        Assert.All(Directory.GetDirectories(began), rank => Assert.NotEmpty(Directory.GetFiles(rank)));
    }

    private static void Run(RankJob job, params string[] more)
    {
        var end = job.Run(["--model.flavor", "cpu_small", "--training.seq_len", "64", "--training.local_batch_size", "1", "--training.steps", "1", "--metrics.log_freq", "1", "--debug.seed", "1", .. more]);
        Assert.True(end.ExitCode == 0, end.Output);
    }

    private static double Metric(RankJob job, string name)
    {
        using var row = JsonDocument.Parse(File.ReadLines(Path.Combine(job.Folder, "metrics.jsonl")).First());
        return row.RootElement.GetProperty(name).GetDouble();
    }
}
