using System.Text.Json;
using Titan.Abstractions;
using Titan.Host.Jobs;
using Titan.Host.Planning;
using Titan.Quantization.Roofline;
using Titan.Training.Parallel;

namespace Titan.Host.Tests;

/// <summary>Plans of a mixture of experts for many ranks, against numbers computed by hand, and what is refused before a run.</summary>
public sealed class ExpertPlanTests
{
    private static readonly string[] Debug = ["--model.name=deepseek_v3", "--model.flavor=debugmodel", "--training.seq_len=64"];

    /// <summary>5 mixtures of 8 experts with dimension and hidden dimension 256; 8 sequences of 64 tokens with 3 experts each.</summary>
    [Fact]
    public void Rows_travel_there_and_back_in_forward_and_in_backward()
    {
        var plan = Of(4, [.. Debug, "--activation_checkpoint.mode=none", "--parallelism.expert_parallel_degree=2"]);
        const long rows = 8 * 64 * 3, row = 2 * 256, counts = 8 * 8;
        Equal(plan, "ep", CollectiveTraffic.AllToAll, 5 * 5, 5 * (counts + 4 * rows * row));
        // A rank has 4 experts, and half of each over the two ranks that have the same.
        Equal(plan, "dp_mod_ep", CollectiveTraffic.AllGather, 2 * 5, 2 * 5 * 2 * 4 * 3 * 256 * 256);
        Equal(plan, "dp_mod_ep", CollectiveTraffic.ReduceScatter, 5, 5 * 4 * 4 * 3 * 256 * 256);
        Assert.Equal((5 * 2 * 3 * 256 * 256, 5 * 8 * 3 * 256 * 256), (plan.Experts!.Parameters, plan.Experts.Whole));
        Assert.Equal(16 * plan.Experts.Parameters, plan.Experts.Bytes);
    }

    [Fact]
    public void Ranks_of_tensor_parallelism_send_a_share_each_and_what_is_computed_again_is_sent_again()
    {
        var plan = Of(4, [.. Debug, "--parallelism.expert_parallel_degree=2", "--parallelism.tensor_parallel_degree=2"]);
        const long rows = 8 * 64 * 3 / 2, row = 2 * 256, counts = 8 * 8;
        // Every second block, of which mixtures 1, 3 and 5.
        Equal(plan, "ep", CollectiveTraffic.AllToAll, 5 * 5 + 3 * 3, 5 * (counts + 4 * rows * row) + 3 * (counts + 2 * rows * row));
    }

    [Fact]
    public void Experts_of_671B_are_shared_out_over_all_ranks_also_where_they_are_fewer()
    {
        // 58 mixtures of 256 experts; 64 ranks have 4 each, and 16 ranks share those by their rows.
        var plan = Of(1024, "--model.name=deepseek_v3", "--model.flavor=671B", "--training.local_batch_size=1", "--parallelism.expert_parallel_degree=64", "--parallelism.tensor_parallel_degree=8");
        Assert.Equal(58L * 256 * 3 * 7168 * 2048, plan.Experts!.Whole);
        Assert.Equal(plan.Experts.Whole / 1024, plan.Experts.Parameters);
    }

    [Fact]
    public void Scripts_see_every_axis_and_the_experts()
    {
        var (code, json) = TitanProcess.Run(["plan", "--world", "4", "--json", .. Debug, "--parallelism.expert_parallel_degree", "2", "--parallelism.tensor_parallel_degree", "2", "--parallelism.expert_tensor_parallel_degree", "2"]);
        Assert.True(code == 0, json);
        using var parsed = JsonDocument.Parse(json);
        var ranks = parsed.RootElement.GetProperty("ranks");
        Assert.Equal([2, 1, 2, 1, 2, 2], new[] { "dp_shard", "cp", "tp", "pp", "ep", "etp" }.Select(a => ranks.GetProperty(a).GetInt32()));
        Assert.Equal(5 * 2 * 3 * 256 * 256, ranks.GetProperty("experts").GetProperty("parameters").GetInt64());
        Assert.Contains(ranks.GetProperty("collectives").EnumerateArray(), c => c.GetProperty("group").GetString() == "ep");
    }

    /// <summary><c>check</c> and <c>plan</c> refuse what a run refuses (Ranks.ExpertParallelTests), with the same words.</summary>
    [Theory]
    [InlineData("layers.1.moe has 8 experts, which 3 ranks cannot share evenly; set parallelism.expert_parallel_degree to a divisor of 8", "deepseek_v3", "--parallelism.expert_parallel_degree=3")]
    [InlineData("has no mixtures of experts in this flavor: parallelism.expert_parallel_degree = 2 has nothing to share; set it to 1", "llama3", "--parallelism.expert_parallel_degree=2")]
    [InlineData("etp 2: expected 1 or tp 4", "deepseek_v3", "--parallelism.expert_parallel_degree=2", "--parallelism.tensor_parallel_degree=4", "--parallelism.expert_tensor_parallel_degree=2")]
    [InlineData("expert_parallel_comm_backend", "deepseek_v3", "--parallelism.expert_parallel_degree=2", "--parallelism.expert_parallel_comm_backend=deepep")]
    public void What_cannot_be_shared_is_refused_by_check_and_plan_alike(string says, string model, params string[] args)
    {
        foreach (var command in new string[][] { ["config", "check"], ["plan"] })
        {
            var (code, text) = TitanProcess.Run([.. command, $"--model.name={model}", "--model.flavor=debugmodel", .. args]);
            Assert.Equal((2, true), (code, text.Contains(says, StringComparison.Ordinal)));
        }
    }

    [Fact]
    public void A_world_that_ep_does_not_divide_is_refused()
    {
        var e = Assert.Throws<TitanException>(() => Of(6, [.. Debug, "--parallelism.expert_parallel_degree=4"]));
        Assert.Equal(ExitCode.Usage, e.Code);
        Assert.Contains("ep 4 * etp 1 takes its ranks from dp_shard 6 * cp 1 * tp 1 = 6, which it does not divide", e.Message, StringComparison.Ordinal);
    }

    private static void Equal(RankPlan plan, string group, string verb, long calls, long bytes)
    {
        var traffic = plan.Collectives.Single(c => c.Traffic.Group == group && c.Traffic.Verb == verb).Traffic;
        Assert.Equal((calls, bytes), (traffic.Calls, traffic.PayloadBytes));
    }

    private static RankPlan Of(int world, params string[] args)
    {
        var session = JobSession.Open(args);
        return Plan.Of(session, new WorldRequest(world, new Interconnect(), GpuSpecs.Default)).Ranks!;
    }
}
