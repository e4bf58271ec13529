using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Parallelism.Tests;

public sealed class TensorParallelTrafficTests
{
    private const int Layers = TensorParallelJob.Layers;
    private const long Part = TensorParallelJob.Batch * TensorParallelJob.Length / 2 * TensorParallelJob.Dimension, Whole = 2 * Part;

    [Fact]
    public void A_block_gathers_twice_and_scatters_twice_in_each_direction()
    {
        var group = TensorParallelJob.Over(2, new TensorParallelJob.Options { Type = ScalarType.BFloat16 })[1].Group!;
        // Forward: two per block and the head. Backward: two per block and the table.
        Assert.Equal(2 * Layers + 1 + 2 * Layers + 1, group.Count("all_gather"));
        Assert.Equal((4 * Layers + 2) * Part * 2, group.Bytes("all_gather"));
        // The other way round; bf16 is summed by the receiver.
        Assert.Equal(4 * Layers + 2, group.Count("all_to_all"));
        Assert.Equal((4 * Layers + 2) * Whole * 2, group.Bytes("all_to_all"));
        Assert.Equal(0, group.Count("reduce_scatter"));
        // Two of the loss, and the gradient of each norm.
        Assert.Equal(2 + 2 * Layers + 1, group.Count("all_reduce"));
    }

    [Fact]
    public void In_fp32_the_group_itself_sums()
    {
        var group = TensorParallelJob.Over(2, new TensorParallelJob.Options())[0].Group!;
        Assert.Equal(4 * Layers + 2, group.Count("reduce_scatter"));
        Assert.Equal(0, group.Count("all_to_all"));
    }

    [Fact]
    public void Gathered_logits_travel_once()
    {
        var options = new TensorParallelJob.Options();
        long with = TensorParallelJob.Over(2, options with { DisableLossParallel = true })[0].Group!.Bytes("all_gather"), without = TensorParallelJob.Over(2, options)[0].Group!.Bytes("all_gather");
        Assert.Equal(TensorParallelJob.Batch * TensorParallelJob.Length * TensorParallelJob.Vocabulary / 2 * 4, with - without);
    }

    [Fact]
    public void Tensorwise_activations_and_gradients_travel_as_one_byte_each()
    {
        var group = TensorParallelJob.Over(2, new TensorParallelJob.Options { Recipe = "tensorwise", Type = ScalarType.BFloat16 })[0].Group!;
        // All but the gradient of the table, which belongs to no converted layer.
        Assert.Equal((4 * Layers + 1) * Part + Part * 2, group.Bytes("all_gather"));
        Assert.Equal(4 * Layers + 2, group.Count("all_gather"));
    }

    [Fact]
    public void Mx_activations_travel_as_bytes_and_scales_once_per_use()
    {
        var options = new TensorParallelJob.Options { Recipe = "mxfp8_cublas", Type = ScalarType.BFloat16, Skip = ["output"] };
        var training = TensorParallelJob.Over(2, options)[0].Group!;
        Assert.Equal(4 * Layers * 2 * (Part + Part / 32) + 2 * Part * 2, training.Bytes("all_gather"));
        var forward = TensorParallelJob.Over(2, options with { Gradients = false })[0].Group!;
        Assert.Equal(2 * Layers * (Part + Part / 32) + Part * 2, forward.Bytes("all_gather"));
    }

    [Fact]
    public void Rowwise_activations_travel_as_bytes_where_no_backward_follows_and_else_in_bf16()
    {
        var options = new TensorParallelJob.Options { Recipe = "rowwise", Type = ScalarType.BFloat16, Skip = ["output"] };
        Assert.Equal((4 * Layers + 2) * Part * 2, TensorParallelJob.Over(2, options)[0].Group!.Bytes("all_gather"));
        var scales = TensorParallelJob.Batch * TensorParallelJob.Length / 2 * 4;
        Assert.Equal(2 * Layers * (Part + scales) + Part * 2, TensorParallelJob.Over(2, options with { Gradients = false })[0].Group!.Bytes("all_gather"));
    }
}
