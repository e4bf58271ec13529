using Titan.Abstractions;
using Titan.Benchmarks;
using Titan.Host.Commands;
using Titan.Host.Jobs;
using Titan.Host.Tests.Ranks;
using Titan.Training.Parallel;

namespace Titan.Host.Tests.Bench;

[Collection(RankTests.Name)]
public sealed class CommunicationBenchTests
{
    [Theory]
    [InlineData("tensorwise", 4, 1, 1, "never")]
    [InlineData("tensorwise", 2, 2, 1, "default")]
    [InlineData("rowwise", 3, 1, 1, "default")]
    [InlineData("rowwise", 2, 1, 2, "default")]
    public void The_calls_of_a_step_add_up_to_the_plan(string recipe, int shard, int replicate, int tensor, string reshard)
    {
        var session = JobSession.Open(
        [
            "--model.flavor", "debugmodel", "--training.seq_len", "64", "--training.local_batch_size", "2", "--training.global_batch_size", $"{2 * shard * replicate * 2}", "--model.converters", "quantize.linear.float8",
            "--quantize.linear.float8.recipe_name", recipe, "--quantize.linear.float8.enable_fsdp_float8_all_gather", "--parallelism.fsdp_reshard_after_forward", reshard,
        ]);
        var dimensions = new ParallelDimensions(replicate, shard, TensorParallel: tensor);
        var plan = PlannedModel.Of(session.Job.Config, session.Models, session.Converters.Choose(session.Job, session.Schema), session.Parallelisms(dimensions), dimensions).Step;
        var calls = StepCollectives.Of(plan);
        Assert.Equal(plan.Traffic.Count, calls.Count);
        foreach (var (traffic, step) in plan.Traffic.Zip(calls))
        {
            Assert.Equal((traffic.Verb, traffic.Group, (int)traffic.Calls), (step.Verb, step.Group, step.Calls.Count));
            var parts = traffic.Verb == CollectiveTraffic.AllReduce ? 1 : traffic.Size;
            Assert.Equal(traffic.PayloadBytes, step.Calls.Sum(c => c.Sum()) * parts);
        }
    }

    [FactWithTools("mpirun.openmpi")]
    public void Two_ranks_time_their_gathers_in_bf16_and_float8()
    {
        using var job = new RankJob { Ranks = 2, Environment = { ["TRAIN_COMMAND"] = "bench communication" } };
        var folder = Path.Combine(job.Folder, "out");
        var end = job.Run("--model.flavor", "debugmodel", "--model.converters", "quantize.linear.float8", "--repetitions", "2", "--out", folder);
        Assert.True(end.ExitCode == 0, end.Output);
        Assert.Matches(@"\| dp_shard \| all_gather_into_tensor \| bfloat16 \| 2 \| 14 \| 11,278,592 \|", end.Output);
        Assert.Matches(@"\| dp_shard \| all_gather_into_tensor \| float8 \| 2 \| 14 \| [\d,]+ \|", end.Output);
        Assert.Matches(@"\| dp_shard \| reduce_scatter_tensor \|  \| 2 \| 8 \| 12,327,424 \|", end.Output);
        Assert.Matches(@"float8 gathers take [\d.]+ of the time of bfloat16 gathers, and send 0\.\d+ of the bytes", end.Output);
        Assert.Equal(2, Directory.GetFiles(folder).Length);
    }

    [Fact]
    public void One_rank_is_told_to_start_several()
    {
        var refusal = Assert.Throws<TitanException>(() => CommunicationJob.Open(() => MeasuredPlugins.Job(JobSession.Open([])), Titan.Distributed.DistributedRuntime.Start()));
        Assert.Equal(ExitCode.Usage, refusal.Code);
        Assert.Contains("TRAIN_COMMAND='bench communication' ./run_train.sh", refusal.Message, StringComparison.Ordinal);
    }
}
