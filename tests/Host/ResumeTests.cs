using System.Runtime.InteropServices;
using System.Text.Json;

namespace Titan.Host.Tests;

public sealed class ResumeTests : IClassFixture<ResumeTests.Uninterrupted>
{
    private static readonly string[] Checkpointing = ["--checkpoint.enable", "--checkpoint.interval", "2", "--checkpoint.keep_latest_k", "2", "--checkpoint.no-last_save_model_only"];

    private readonly Uninterrupted reference;

    public ResumeTests(Uninterrupted reference) => this.reference = reference;

    [Theory]
    [InlineData("before-first-byte:2")]
    [InlineData("mid-tensors:3")]
    [InlineData("mid-tensors:60")]
    [InlineData("mid-tensors:150")]
    [InlineData("before-manifest:2")]
    [InlineData("mid-manifest:2")]
    [InlineData("before-rename:2")]
    [InlineData("after-rename:1")]
    [InlineData("after-rename:2")]
    [InlineData("during-retention:1")]
    public void A_run_that_is_killed_around_a_save_goes_on_with_the_same_losses_to_the_bit(string failpoint)
    {
        var folder = Directory.CreateTempSubdirectory("titan-resume").FullName;
        try
        {
            var job = TitanProcess.SmallJob(folder, 8, Checkpointing);
            Assert.Equal(137, TitanProcess.Run(job, failpoint).ExitCode);
            var (code, output) = TitanProcess.Run(job);
            Assert.True(code == 0, output);
            var losses = Losses(folder);
            Assert.Equal(8, losses.Count);
            Assert.Equal(reference.Losses, losses);
        }
        finally
        {
            Directory.Delete(folder, true);
        }
    }

    [Fact]
    public void SIGTERM_saves_and_exits_with_0_and_the_run_goes_on_bit_for_bit()
    {
        var folder = Directory.CreateTempSubdirectory("titan-stop").FullName;
        try
        {
            var job = TitanProcess.SmallJob(folder, 8, [.. Checkpointing, "--training.global_batch_size", "2"]);
            using (var process = TitanProcess.Start(job))
            using (TitanProcess.EndInTime(process))
            {
                string? line;
                do line = process.StandardOutput.ReadLine();
                while (line is not null && !line.Contains("step:  3", StringComparison.Ordinal));
                _ = Kill(process.Id, 15);
                var rest = process.StandardOutput.ReadToEnd();
                process.WaitForExit();
                Assert.Equal(0, process.ExitCode);
                Assert.True(rest.Contains("Stopped at step", StringComparison.Ordinal) || rest.Contains("completed", StringComparison.Ordinal), rest);
            }

            _ = TitanProcess.Run(job);
            Assert.Equal(reference.Losses, Losses(folder));
        }
        finally
        {
            Directory.Delete(folder, true);
        }
    }

    /// <summary>The loss of each step, from the file that a run wrote.</summary>
    internal static SortedDictionary<int, double> Losses(string folder)
    {
        var losses = new SortedDictionary<int, double>();
        foreach (var line in File.ReadLines(Path.Combine(folder, "metrics.jsonl")))
        {
            using var row = JsonDocument.Parse(line);
            if (row.RootElement.TryGetProperty("loss_metrics/global_avg_loss", out var loss)) losses[row.RootElement.GetProperty("step").GetInt32()] = loss.GetDouble();
        }

        return losses;
    }

    [DllImport("libc", EntryPoint = "kill")]
    private static extern int Kill(int process, int signal);

    /// <summary>The same job without a crash.</summary>
    public sealed class Uninterrupted
    {
        public Uninterrupted()
        {
            var folder = Directory.CreateTempSubdirectory("titan-reference").FullName;
            var (code, output) = TitanProcess.Run(TitanProcess.SmallJob(folder, 8));
            Assert.True(code == 0, output);
            Losses = ResumeTests.Losses(folder);
            Directory.Delete(folder, true);
        }

        public SortedDictionary<int, double> Losses { get; }
    }
}
