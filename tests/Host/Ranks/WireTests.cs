using static Titan.Host.Tests.Ranks.Wire;

namespace Titan.Host.Tests.Ranks;

/// <summary>
/// What ranks count on the wire in one step, against numbers computed by hand for the debug model: dimension 256, 6 blocks, feed-forward 768, vocabulary 2048. A block has
/// 4 · 256² + 3 · 256 · 768 = 851,968 elements in linears and 512 in norms; the table has 524,288, the head with its norm 524,544. Blocks are gathered for forward and again for
/// backward, the table and the head once.
/// </summary>
[Collection(RankTests.Name)]
public sealed class WireTests
{
    private const long Block = 851_968, Norms = 512, Table = 524_288, Head = 524_544, All = 6_163_712;

    [FactWithTools("mpirun.openmpi")]
    public void Without_float8_every_weight_travels_in_two_bytes_and_every_gradient_in_four()
    {
        var counted = Step(2, 2);
        Assert.Equal((14, 2 * (Table + Head + 12 * (Block + Norms))), counted["dp_shard all_gather_into_tensor"]);
        Assert.Equal((8, 4 * All), counted["dp_shard reduce_scatter_tensor"]);
        Assert.Equal(2, counted.Count);
    }

    [TheoryWithTools("mpirun.openmpi")]
    [InlineData(true, 1)]
    [InlineData(false, 6)]
    public void A_tensorwise_weight_travels_as_one_byte_per_element(bool precompute, int allReduces)
    {
        var counted = Step(2, 2, [.. Recipe("tensorwise"), "--quantize.linear.float8.enable_fsdp_float8_all_gather",
            .. precompute ? ["--quantize.linear.float8.precompute_float8_dynamic_scale_for_fsdp"] : Array.Empty<string>()]);
        Assert.Equal((14, 2 * (Table + Head + 12 * Norms) + 12 * Block), counted["dp_shard all_gather_into_tensor"]);
        // An amax of 4 bytes for each of 42 layers.
        Assert.Equal((allReduces, 42 * 4), counted["dp_shard all_reduce"]);
    }

    [FactWithTools("mpirun.openmpi")]
    public void A_rowwise_weight_takes_four_bytes_per_row_along_in_forward_and_one_byte_per_element_both_ways()
    {
        var counted = Step(2, 2, [.. Recipe("rowwise"), .. Float8Gathers("rowwise")]);
        const long rows = 4 * 256 + 768 + 768 + 256, columns = 4 * 256 + 256 + 256 + 768;
        Assert.Equal((14, 2 * (Table + Head + 12 * Norms) + 12 * Block + 6 * 4 * rows), counted["dp_shard all_gather_into_tensor"]);
        Assert.Equal((6, 6 * 4 * columns), counted["dp_shard all_reduce"]);
    }

    [FactWithTools("mpirun.openmpi")]
    public void An_MX_weight_travels_as_one_byte_per_element_and_one_per_32_and_reduces_nothing()
    {
        var counted = Step(2, 2, [.. Recipe("mx"), .. Float8Gathers("mx")]);
        Assert.Equal((14, 2 * (Table + Head + 12 * Norms) + 12 * (Block + Block / 32)), counted["dp_shard all_gather_into_tensor"]);
        Assert.DoesNotContain("dp_shard all_reduce", counted.Keys);
    }

    [FactWithTools("mpirun.openmpi")]
    public void Weights_that_stay_after_forward_are_gathered_once() =>
        Assert.Equal((8, 2 * All), Step(2, 2, "--parallelism.fsdp_reshard_after_forward=never")["dp_shard all_gather_into_tensor"]);

    [TheoryWithTools("mpirun.openmpi")]
    [InlineData("full", 6)]
    [InlineData("selective", 3)]
    public void Blocks_that_are_recomputed_gather_their_forward_form_again(string mode, int recomputed)
    {
        // MX: forward and backward take different forms of a weight, so that both travel.
        var counted = Step(2, 2, [.. Recipe("mx"), .. Float8Gathers("mx"), "--activation_checkpoint.mode", mode, "--activation_checkpoint.selective_ac_option", "2"]);
        var (calls, bytes) = counted["dp_shard all_gather_into_tensor"];
        Assert.Equal(8 + 6 + recomputed, calls);
        Assert.Equal(2 * (Table + Head + 12 * Norms) + (12 + recomputed) * (Block + Block / 32), bytes);
    }

    [FactWithTools("mpirun.openmpi")]
    public void Every_micro_batch_gathers_and_reduces_again()
    {
        var counted = Step(2, 4, "--training.global_batch_size", "4");
        Assert.Equal((2 * 14, 2 * 2 * (Table + Head + 12 * (Block + Norms))), counted["dp_shard all_gather_into_tensor"]);
        Assert.Equal((2 * 8, 2 * 4 * All), counted["dp_shard reduce_scatter_tensor"]);
    }

    [FactWithTools("mpirun.openmpi")]
    public void Replicas_reduce_their_shards()
    {
        var counted = Step(4, 4, "--parallelism.data_parallel_replicate_degree=2");
        Assert.Equal((8, 4 * All), counted["dp_shard reduce_scatter_tensor"]);
        Assert.Equal((8, 4 * All / 2), counted["dp_replicate all_reduce"]);
    }

    [FactWithTools("mpirun.openmpi")]
    public void Tensor_parallel_ranks_exchange_activations_and_half_of_each_weight()
    {
        var counted = Step(4, 2, "--parallelism.tensor_parallel_degree=2");
        // Two sequences of 64 tokens in bf16, around attention and feed-forward of 6 blocks, the table and the head, both ways.
        Assert.Equal((26, 26 * 2 * 64 * 256 * 2), counted["tp all_gather_into_tensor"]);
        Assert.Equal((26, 26 * 2 * 64 * 256 * 2), counted["tp all_to_all_single"]);
        // Norms are whole on both: two of each block, and the last.
        Assert.Equal((8, 4 * ((All - 13 * 256) / 2 + 13 * 256)), counted["dp_shard reduce_scatter_tensor"]);
    }

    /// <summary>
    /// A block reduces by itself: one amax for each of two gathered inputs, two inputs that are split, five gradients that are split, and two gathered gradients; and two norms' gradients.
    /// Besides, the last norm's gradient, three numbers a token for the loss, and the amaxes of 42 weights.
    /// </summary>
    [TheoryWithTools("mpirun.openmpi")]
    [InlineData(2, 1, 42, 1, 1, false)]
    [InlineData(4, 2, 42, 1, 6, true)]
    [InlineData(4, 2, 42, 2, 1, true)]
    public void Scales_of_weights_that_are_split_are_reduced_together(int ranks, int shard, int weights, int scales, int calls, bool float8Gather)
    {
        string[] wire = float8Gather ? ["--quantize.linear.float8.enable_fsdp_float8_all_gather", .. scales == 2 ? ["--quantize.linear.float8.precompute_float8_dynamic_scale_for_fsdp"] : Array.Empty<string>()] : [];
        var counted = Step(ranks, shard, ["--parallelism.tensor_parallel_degree=2", .. Recipe("tensorwise"), .. wire]);
        var sequences = 4 / shard;
        Assert.Equal((6 * (11 + 2) + 1 + 2 + calls, 4 * (6 * 11 + 13 * 256 + 3 * 64 * sequences + weights)), counted["tp all_reduce"]);
    }

    private static IReadOnlyDictionary<string, (long Calls, long Bytes)> Step(int ranks, int batchRanks, params string[] more)
    {
        var output = RankJob.Train(2, ranks, batchRanks, more).Output;
        Assert.Contains(AsComputed, output, StringComparison.Ordinal);
        return Counted(output);
    }
}
