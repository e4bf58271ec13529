using System.Diagnostics;
using System.Text.Json;
using Titan.Abstractions;
using Titan.Host.Jobs;
using Titan.Host.Planning;
using Titan.Quantization.Roofline;
using Titan.Training.Parallel;

namespace Titan.Host.Tests;

/// <summary>
/// Plans for many ranks against numbers that were computed by hand for the debug model: dimension 256, 6 blocks, feed-forward 768, vocabulary 2048. A block has
/// 4 · 256² + 3 · 256 · 768 = 851,968 elements in linears and 512 in norms; the table has 524,288; the head with its norm 524,544.
/// </summary>
public sealed class RankPlanTests
{
    private const string NoRecomputation = "--activation_checkpoint.mode=none";
    private const long Block = 851_968, Norms = 512, Table = 524_288, Head = 524_544;

    [Fact]
    public void Weights_in_bf16_are_gathered_twice_but_for_the_table_and_the_head()
    {
        var plan = Of(4, NoRecomputation);
        Equal(plan, "dp_shard", CollectiveTraffic.AllGather, calls: 8 + 6, bytes: 2 * (Table + Head + 12 * (Block + Norms)));
        Equal(plan, "dp_shard", CollectiveTraffic.ReduceScatter, calls: 8, bytes: 4 * 6_163_712);
        Assert.Equal(2, plan.Collectives.Count);
        Assert.Equal(3 * (22_557_184 / 4), plan.Collectives[0].Traffic.WireBytes);
    }

    [Theory]
    [InlineData(true, 1)]
    [InlineData(false, 6)]
    public void A_tensorwise_weight_travels_as_one_byte_per_element(bool precompute, int allReduces)
    {
        var plan = Of(4, NoRecomputation, "--model.converters=quantize.linear.float8", "--quantize.linear.float8.filter_fqns=output",
            "--quantize.linear.float8.enable_fsdp_float8_all_gather", $"--quantize.linear.float8.{(precompute ? "" : "no-")}precompute_float8_dynamic_scale_for_fsdp");
        Equal(plan, "dp_shard", CollectiveTraffic.AllGather, 14, 2 * (Table + Head) + 12 * (Block + 2 * Norms));
        Equal(plan, "dp_shard", CollectiveTraffic.ReduceScatter, 8, 4 * 6_163_712);
        Equal(plan, "dp_shard", CollectiveTraffic.AllReduce, allReduces, 42 * 4);
        Assert.True(plan.Float8Asked);
        Assert.Equal(2 * (Table + Head + 12 * (Block + Norms)), plan.Bf16.GatherBytes);
    }

    [Fact]
    public void A_rowwise_weight_takes_its_row_scales_along_in_forward_and_reduces_column_amaxes_for_backward()
    {
        var plan = Of(4, NoRecomputation, "--model.converters=quantize.linear.float8", "--quantize.linear.float8.filter_fqns=output", "--quantize.linear.float8.recipe_name=rowwise",
            "--quantize.linear.float8.enable_fsdp_float8_all_gather");
        const long rows = 4 * 256 + 768 + 768 + 256, columns = 4 * 256 + 256 + 256 + 768;
        Equal(plan, "dp_shard", CollectiveTraffic.AllGather, 14, 2 * (Table + Head) + 6 * (Block + 4 * rows + 2 * Norms) + 6 * (Block + 2 * Norms));
        Equal(plan, "dp_shard", CollectiveTraffic.AllReduce, 6, 6 * 4 * columns);
    }

    [Fact]
    public void An_MX_weight_takes_a_scale_per_32_elements_along_and_reduces_nothing()
    {
        var plan = Of(4, NoRecomputation, "--model.converters=quantize.linear.mx", "--quantize.linear.mx.enable_fsdp_float8_all_gather");
        Equal(plan, "dp_shard", CollectiveTraffic.AllGather, 14, 2 * (Table + Head) + 12 * (Block * 33 / 32 + 2 * Norms));
        Assert.DoesNotContain(plan.Collectives, c => c.Traffic.Verb == CollectiveTraffic.AllReduce);
    }

    [Fact]
    public void Shards_are_filled_up_to_whole_blocks_of_rows()
    {
        // 256 rows over 6 ranks: 43 each, filled up to 64; 768: 128 each. Norms and what is not converted: 43, 342 for 2048.
        var plan = Of(6, NoRecomputation, "--model.converters=quantize.linear.mx", "--quantize.linear.mx.enable_fsdp_float8_all_gather");
        const long block = 6 * (4 * 64 * 256 + 2 * 128 * 256 + 64 * 768), norm = 6 * 43, table = 6 * 342 * 256;
        Equal(plan, "dp_shard", CollectiveTraffic.AllGather, 14, 2 * (2 * table + norm) + 12 * (block * 33 / 32 + 2 * 2 * norm));
        Equal(plan, "dp_shard", CollectiveTraffic.ReduceScatter, 8, 4 * (2 * table + norm + 6 * (block + 2 * norm)));
        // The first rank has full shards.
        Assert.Equal(4 * (2 * 342 * 256 + 43 + 6 * (block / 6 + 2 * 43)), plan.Memory["weights"]);
    }

    [Fact]
    public void Recomputed_blocks_ask_for_the_forward_form_again()
    {
        var mx = new[] { "--model.converters=quantize.linear.mx", "--quantize.linear.mx.enable_fsdp_float8_all_gather" };
        const long block = Block * 33 / 32;
        var full = Of(4, [.. mx, "--activation_checkpoint.mode=full"]);
        Equal(full, "dp_shard", CollectiveTraffic.AllGather, 8 + 12, 2 * (Table + Head) + 6 * (3 * block + 2 * 2 * Norms));
        var everySecond = Of(4, [.. mx, "--activation_checkpoint.mode=selective"]);
        Equal(everySecond, "dp_shard", CollectiveTraffic.AllGather, 8 + 9, 2 * (Table + Head) + 3 * (3 * block + 2 * 2 * Norms) + 3 * (2 * block + 2 * 2 * Norms));
    }

    [Fact]
    public void Without_resharding_nothing_is_gathered_again()
    {
        Equal(Of(4, NoRecomputation, "--parallelism.fsdp_reshard_after_forward=never"), "dp_shard", CollectiveTraffic.AllGather, 8, 2 * 6_163_712);
    }

    [Fact]
    public void Replicas_reduce_their_shards_and_micro_batches_repeat_it()
    {
        var plan = Of(8, NoRecomputation, "--parallelism.data_parallel_replicate_degree=2", "--training.global_batch_size=128");
        Assert.Equal(4, plan.Dimensions.DataParallelShard);
        Equal(plan, "dp_replicate", CollectiveTraffic.AllReduce, 2 * 8, 2 * 6_163_712);
        Equal(plan, "dp_shard", CollectiveTraffic.ReduceScatter, 2 * 8, 2 * 4 * 6_163_712);
    }

    [Fact]
    public void Tensor_parallel_gathers_and_scatters_the_sequence_of_every_region()
    {
        var plan = Of(2, NoRecomputation, "--parallelism.tensor_parallel_degree=2", "--training.seq_len=32", "--training.local_batch_size=1");
        // Forward: attention, feed-forward and head gather, table, attention and feed-forward scatter; backward the other way round.
        const long one = 32 * 256 * 2;
        Equal(plan, "tp", CollectiveTraffic.AllGather, 26, 26 * one);
        Equal(plan, "tp", CollectiveTraffic.AllToAll, 26, 26 * one);
        // 13 norms; the loss's maxima and sums.
        Equal(plan, "tp", CollectiveTraffic.AllReduce, 13 + 2, 13 * 256 * 4 + 3 * 32 * 4);
        Assert.Equal(4 * ((6_163_712 - 13 * 256) / 2 + 13 * 256), plan.Memory["weights"]);
    }

    /// <summary>A rank has 2 · 32 tokens with keys and values of 256 each: 32,768 numbers, 4 ranks. Weights are shared out over the same group.</summary>
    [Fact]
    public void Keys_and_values_are_gathered_twice_and_their_gradients_scattered_in_fp32()
    {
        const long own = 2 * 32 * 2 * 256;
        string[] job = [NoRecomputation, "--parallelism.context_parallel_degree=4", "--training.seq_len=128", "--training.local_batch_size=2"];
        var plan = Of(4, job);
        Equal(plan, "cp", CollectiveTraffic.AllGather, 14 + 12, 2 * (Table + Head + 12 * (Block + Norms)) + 12 * 4 * own * 2);
        Equal(plan, "cp", CollectiveTraffic.ReduceScatter, 8 + 6, 4 * 6_163_712 + 6 * 4 * own * 4);
        Assert.Equal(4 * own * (2 + 4) + 4 * 4 * 2 * 16 * 16 * 16, plan.Memory["context"]);
        // Computed again, a block also gathers again.
        Equal(Of(4, [.. job[1..], "--activation_checkpoint.mode=full"]), "cp", CollectiveTraffic.AllGather, 14 + 18, 2 * (Table + Head + 12 * (Block + Norms)) + 18 * 4 * own * 2);
    }

    [Fact]
    public void Round_a_ring_keys_and_values_go_three_steps_twice_and_their_gradients_four()
    {
        const long own = 2 * 32 * 2 * 256;
        var plan = Of(4, NoRecomputation, "--parallelism.context_parallel_degree=4", "--parallelism.context_parallel_rotate_method=alltoall", "--training.seq_len=128", "--training.local_batch_size=2");
        Equal(plan, "cp", CollectiveVerb.BatchSendReceive, 6 * (3 + 3 + 4), 6 * (6 * own * 2 + 4 * own * 4));
        Equal(plan, "cp", CollectiveTraffic.AllGather, 14, 2 * (Table + Head + 12 * (Block + Norms)));
        // However many ranks there are; four tensors of two sequences, 16 heads and pieces of 16.
        Assert.Equal(own * (2 * 2 + 3 * 4) + 4 * 4 * 2 * 16 * 16 * 16, plan.Memory["context"]);
        // All that a rank sends leaves it.
        var ring = plan.Collectives.Single(c => c.Traffic.Verb == CollectiveVerb.BatchSendReceive);
        Assert.Equal(ring.Traffic.PayloadBytes / 450e9, ring.Seconds, 9);
    }

    [Fact]
    public void A_sequence_of_a_million_tokens_on_512_ranks_is_planned_in_seconds()
    {
        var before = Process.GetCurrentProcess().TotalProcessorTime;
        var file = Path.Combine(Path.GetDirectoryName(Titan.Training.Data.SampleAssets.Root)!, "configs", "llama3", "llama3_8b_1m.toml");
        var plan = Of(512, "--job.config_file", file);
        var took = Process.GetCurrentProcess().TotalProcessorTime - before;
        Assert.True(took < TimeSpan.FromSeconds(10), $"took {took}");
        Assert.Equal(new ParallelDimensions(1, 2, 32, 8), plan.Dimensions);
        // 32,768 tokens of a rank, one of eight heads of keys and values: 32 layers, 31 steps twice and 32 of gradients; the blocks are computed again.
        const long own = 32_768 * 2 * 128;
        Equal(plan, "cp", CollectiveVerb.BatchSendReceive, 32 * (3 * 31 + 32), 32 * (3 * 31 * own * 2 + 32 * own * 4));
        Assert.Equal(own * (2 * 2 + 3 * 4) + 4 * 4 * (1 << 22), plan.Memory["context"]);
        Assert.True(plan.Memory["total"] < 80L << 30, $"{plan.Memory["total"]}");
    }

    [Fact]
    public void Activations_of_a_tensorwise_recipe_travel_as_one_byte_per_element()
    {
        var plan = Of(2, NoRecomputation, "--parallelism.tensor_parallel_degree=2", "--training.seq_len=32", "--training.local_batch_size=1",
            "--model.converters=quantize.linear.float8", "--quantize.linear.float8.filter_fqns=output");
        // Two regions of each block, both ways; the head and the table's gradient stay in bf16.
        Equal(plan, "tp", CollectiveTraffic.AllGather, 26, 24 * 32 * 256 + 2 * 32 * 256 * 2);
        // One amax for each of those gathers; 2 rowwise layers cast a part of their input, 5 colwise ones a part of a gradient; the amaxes of all 42 weights go together.
        Equal(plan, "tp", CollectiveTraffic.AllReduce, 13 + 2 + 24 + 6 * (2 + 5) + 1, 13 * 256 * 4 + 3 * 32 * 4 + 4 * (24 + 6 * 7 + 42));
    }

    [Fact]
    public void The_largest_model_on_512_ranks_is_planned_in_seconds()
    {
        var allocated = GC.GetTotalAllocatedBytes();
        // Of the processor: other tests may run at the same time.
        var before = Process.GetCurrentProcess().TotalProcessorTime;
        var file = Path.Combine(Path.GetDirectoryName(Titan.Training.Data.SampleAssets.Root)!, "configs", "llama3", "llama3_405b.toml");
        var plan = Of(512, "--job.config_file", file);
        var took = Process.GetCurrentProcess().TotalProcessorTime - before;
        Assert.True(took < TimeSpan.FromSeconds(10), $"took {took}");
        Assert.True(GC.GetTotalAllocatedBytes() - allocated < 1L << 30);
        Assert.Equal(new ParallelDimensions(1, 64, 1, 8, 1), plan.Dimensions);
        Assert.InRange(plan.Memory["weights"], 405_853_388_800 * 4 / 512, 405_853_388_800 * 4 / 512 * 1.01);
        Assert.Equal(1, plan.Collectives.Single(c => c.Traffic is { Group: "dp_shard", Verb: CollectiveTraffic.AllReduce }).Traffic.Calls);
        Assert.InRange((double)plan.Float8!.GatherBytes / plan.Bf16.GatherBytes, 0.5, 0.51);
        Assert.True(plan.Float8.Exposed < plan.Bf16.Exposed);
    }

    [Fact]
    public void A_job_that_does_not_ask_for_float8_gathers_is_told_what_they_would_gain()
    {
        var plan = Of(16, "--model.flavor=8B", "--model.converters=quantize.linear.float8");
        Assert.False(plan.Float8Asked);
        Assert.True(plan.Float8!.GatherBytes < plan.Bf16.GatherBytes);
        Assert.Contains("enable_fsdp_float8_all_gather = true", RankPlanText.Render(plan), StringComparison.Ordinal);
    }

    [Fact]
    public void Links_between_hosts_are_shared_by_the_members_of_a_host()
    {
        var links = new Interconnect(1000e9, 50e9, 8);
        var gather = new CollectiveTraffic(CollectiveTraffic.AllGather, "dp_shard", 64, 1, 64_000_000_000);
        // All 8 ranks of a host are in the group: 7/8 of it comes in by 8 adapters.
        Assert.Equal(64e9 * 7 / 8 / (8 * 50e9), links.Seconds(gather, new ParallelDimensions(1, 64)), 6);
        // One rank of each host: one adapter.
        Assert.Equal(64e9 * 63 / 64 / 50e9, links.Seconds(gather, new ParallelDimensions(1, 64, 1, 8)), 6);
        Assert.Equal(2 * 8e9 * 7 / 8 / 1000e9, links.Seconds(new CollectiveTraffic(CollectiveTraffic.AllReduce, "tp", 8, 1, 8_000_000_000), new ParallelDimensions(1, 64, 1, 8)), 6);
    }

    [Theory]
    [InlineData("dp_replicate 1 * dp_shard 3", "--parallelism.data_parallel_shard_degree=3")]
    [InlineData("key and value heads = 8", "--model.flavor=8B", "--parallelism.tensor_parallel_degree=16")]
    [InlineData("layers.0.attention.wq", "--parallelism.tensor_parallel_degree=16", "--model.converters=quantize.linear.mx")]
    [InlineData("async tensor parallel is not served yet", "--parallelism.tensor_parallel_degree=2", "--parallelism.enable_async_tensor_parallel")]
    [InlineData("expected a multiple of tensor_parallel_degree = 16", "--parallelism.tensor_parallel_degree=16", "--training.seq_len=100")]
    [InlineData("expected from 1 to 1048576, or -1", "--parallelism.data_parallel_shard_degree=0")]
    public void What_cannot_run_is_refused_with_the_reason(string says, params string[] args)
    {
        var e = Assert.Throws<TitanException>(() => Of(16, args));
        Assert.Equal(ExitCode.Usage, e.Code);
        Assert.Contains(says, e.Message, StringComparison.Ordinal);
    }

    /// <summary>Whether an axis is served is said by the plugins that are there; check, plan and a run of one rank ask alike.</summary>
    [Fact]
    public void An_axis_that_no_plugin_serves_is_refused_with_the_axes_that_are()
    {
        const string axis = "pp", key = "pipeline_parallel_degree";
        foreach (var ranks in new int?[] { null, 4 })
        {
            var e = Assert.Throws<TitanException>(() => JobSession.OpenJob([$"--parallelism.{key}=2"], ranks));
            Assert.Equal(ExitCode.Plugin, e.Code);
            Assert.Equal(
                $"the mesh has 2 ranks along {axis}, and no plugin serves {axis}; served: cp, dp_replicate, dp_shard, ep, tp; set parallelism.{key} to 1, or install a plugin that exports a parallelism " +
                $"for {axis}; 'titan plugin list' shows what is loaded and why others are not", e.Message);
        }
    }

    [Theory]
    [InlineData("parallelism: etp 3: expected 1 or tp 2", "--parallelism.tensor_parallel_degree=2", "--parallelism.expert_parallel_degree=2", "--parallelism.expert_tensor_parallel_degree=3")]
    [InlineData("ep 3 * etp 1 takes its ranks from dp_shard 4 * cp 1 * tp 1 = 4, which it does not divide", "--parallelism.expert_parallel_degree=3")]
    [InlineData("expected a multiple of tensor_parallel_degree * 2 * context_parallel_degree = 1 * 2 * 4", "--parallelism.context_parallel_degree=4", "--training.seq_len=1020")]
    public void Degrees_that_do_not_fit_are_refused_before_a_plugin_is_asked_for(string says, params string[] args) =>
        Assert.Contains(says, Assert.Throws<TitanException>(() => JobSession.OpenJob(args, 4)).Message, StringComparison.Ordinal);

    [Fact]
    public void The_command_prints_text_and_JSON_and_refuses_options_without_effect()
    {
        var (code, text) = TitanProcess.Run(["plan", "--world", "4", "--inter-bandwidth", "12.5"]);
        Assert.Equal(0, code);
        Assert.Contains("dp_shard 4", text, StringComparison.Ordinal);
        Assert.Contains("12.5 GB/s between hosts", text, StringComparison.Ordinal);
        (code, var json) = TitanProcess.Run(["plan", "--world", "4", "--json"]);
        Assert.Equal(0, code);
        using var parsed = JsonDocument.Parse(json);
        Assert.Equal(4, parsed.RootElement.GetProperty("ranks").GetProperty("dp_shard").GetInt32());
        (code, text) = TitanProcess.Run(["plan", "--inter-bandwidth", "12.5"]);
        Assert.Equal(2, code);
        Assert.Contains("no effect without --world", text, StringComparison.Ordinal);
    }

    [Fact]
    public void A_job_for_512_ranks_is_checked_on_a_machine_of_one()
    {
        var file = Path.Combine(Path.GetDirectoryName(Titan.Training.Data.SampleAssets.Root)!, "configs", "llama3", "llama3_405b.toml");
        var (code, text) = TitanProcess.Run(["config", "check", "--job.config_file", file, "--parallelism.data_parallel_shard_degree", "64"]);
        Assert.True(code == 0, text);
    }

    private static void Equal(RankPlan plan, string group, string verb, long calls, long bytes)
    {
        var traffic = plan.Collectives.Single(c => c.Traffic.Group == group && c.Traffic.Verb == verb).Traffic;
        Assert.Equal((calls, bytes), (traffic.Calls, traffic.PayloadBytes));
    }

    private static RankPlan Of(int world, params string[] args)
    {
        var session = JobSession.Open(args);
        var request = new WorldRequest(world, new Interconnect(), GpuSpecs.Default);
        return Plan.Of(session.Job.Config, session.Models, session.Converters.Choose(session.Job, session.Schema), session.Parallelisms(Plan.MeshOf(session.Job.Config, request)), request).Ranks!;
    }
}
