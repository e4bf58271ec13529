using Titan.Abstractions;
using Titan.Host.Jobs;
using Titan.Host.Planning;
using Titan.Models;
using Titan.Training.Configuration;
using Titan.Training.Models;

namespace Titan.Host.Tests;

/// <summary>What cannot fit is said before the first step.</summary>
public sealed class RunNeedsTests
{
    private const double GiB = 1L << 30;
    private static readonly ModelCounts Small = ModelRegistry.CreateDefault().Find("llama3", "cpu_small").Counts;
    private static readonly RankMachine Machine = new("this machine", 16 * GiB, 8 * GiB, 1e12);

    [Theory]
    [InlineData("training.local_batch_size or training.seq_len", "--training.seq_len=1073741824", "--training.local_batch_size=1")]
    [InlineData("training.local_batch_size or training.seq_len", "--training.local_batch_size=1048576", "--training.seq_len=1024")]
    [InlineData("training.global_batch_size", "--training.global_batch_size=1048576", "--training.local_batch_size=1", "--training.seq_len=262144")]
    [InlineData("validation.local_batch_size or validation.seq_len", "--validation.enable", "--validation.seq_len=1073741824", "--validation.local_batch_size=1")]
    [InlineData("model.flavor", "--model.flavor=405B")]
    public void A_job_that_no_memory_holds_is_refused_before_it_takes_any_and_the_plan_knows(string lower, params string[] more)
    {
        var folder = Directory.CreateTempSubdirectory("titan-needs").FullName;
        try
        {
            string[] job = ["--job.dump_folder", folder, "--training.steps=1", .. more.Any(m => m.Contains("flavor", StringComparison.Ordinal)) ? more : ["--model.flavor=cpu_small", .. more]];
            var (exit, output) = TitanProcess.Run(["train", .. job]);
            Assert.Equal((int)ExitCode.Hardware, exit);
            Assert.Contains("titan: error: the job needs at least ", output, StringComparison.Ordinal);
            Assert.Contains($"; lower {lower}", output, StringComparison.Ordinal);
            Assert.DoesNotContain("Training starts", output, StringComparison.Ordinal);
            var (planned, text) = TitanProcess.Run(["plan", .. job]);
            Assert.Equal(0, planned);
            Assert.Contains("note: the job needs at least ", text, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, true);
        }
    }

    [Fact]
    public void A_validation_without_end_is_said_before_the_first_step()
    {
        var job = new JobConfig { Validation = new ValidationSection { Enable = true, Steps = int.MaxValue } };
        Assert.Contains(RunNeeds.Of(job, Small, new ParallelDimensions()).Warnings(Machine), w => w.StartsWith("a validation of ", StringComparison.Ordinal) && w.EndsWith("lower validation.steps", StringComparison.Ordinal));
        var plan = Plan.Of(JobSession.OpenJob(["--model.flavor=cpu_small", "--validation.enable", $"--validation.steps={int.MaxValue}"]));
        Assert.Contains("a validation of ", plan.ToText(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_step_without_end_is_said_before_the_first_step()
    {
        var job = new JobConfig { Training = new TrainingSection { LocalBatchSize = 1, GlobalBatchSize = 1 << 20, SeqLen = 2048 } };
        Assert.Contains(RunNeeds.Of(job, Small, new ParallelDimensions()).Warnings(Machine), w => w.StartsWith("an optimizer step of ", StringComparison.Ordinal));
        Assert.DoesNotContain(RunNeeds.Of(new JobConfig(), Small, new ParallelDimensions()).Warnings(Machine), w => w.StartsWith("an optimizer step", StringComparison.Ordinal));
    }

    /// <summary>The bound is one from below: what plan estimates is more, for every flavor, mode and mesh.</summary>
    [Theory]
    [InlineData("cpu_small"), InlineData("debugmodel"), InlineData("8B"), InlineData("405B")]
    public void The_least_is_never_more_than_the_estimate_of_the_plan(string flavor)
    {
        foreach (var mode in new[] { "none", "full", "selective" })
        {
            foreach (var length in new[] { 128, 8192 })
            {
                var session = JobSession.OpenJob(["--model.flavor", flavor, "--activation_checkpoint.mode", mode, $"--training.seq_len={length}", "--training.local_batch_size=1"]);
                var plan = Plan.Of(session);
                var needs = RunNeeds.Of(session.Job.Config, plan.Counts, new ParallelDimensions());
                Assert.InRange(needs.Bytes, 1, plan.Memory["total"] + 16.0 * length);
            }
        }
    }

    [Fact]
    public void Memory_that_is_taken_by_others_is_a_warning_and_not_a_refusal()
    {
        var needs = RunNeeds.Of(new JobConfig(), ModelRegistry.CreateDefault().Find("llama3", "8B").Counts, new ParallelDimensions(DataParallelShard: 16));
        var tight = new RankMachine("this machine", 1000 * GiB, 1 * GiB, 1e15);
        Assert.Null(needs.Problem(tight));
        Assert.Contains(needs.Warnings(tight), w => w.Contains("free, so the run may end for want of memory", StringComparison.Ordinal));
        Assert.Contains("this machine has 1.0 GiB", needs.Problem(tight with { Bytes = GiB }), StringComparison.Ordinal);
    }
}
