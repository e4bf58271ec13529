using Titan.Abstractions;
using Titan.Distributed;
using Titan.Plugins.Parallelism;
using Titan.Models.Llama3;
using static TorchSharp.torch;

namespace Titan.Parallelism.Tests;

public sealed class TensorParallelRefusalTests
{
    private static readonly Llama3Args Args = new(256, 1, 8, 4, 256, MultipleOf: 128);

    [Fact]
    public void Heads_that_cannot_be_shared_out_are_refused() =>
        Refused(new TensorParallelJob.Options { Args = Args }, 8, "key and value heads = 4", "multiple of 8", "tensor_parallel_degree");

    [Fact]
    public void A_sequence_that_cannot_be_shared_out_is_refused() =>
        Refused(new TensorParallelJob.Options { Args = Args, Sequence = 62 }, 4, "sequence length = 62", "multiple of 4");

    [Fact]
    public void A_layer_whose_dimension_cannot_be_split_is_named() =>
        Refused(new TensorParallelJob.Options { Args = Args with { Vocabulary = 258 } }, 4, "'tok_embeddings'", "258 rows", "over 4 ranks");

    [Fact]
    public void A_feed_forward_dimension_that_cannot_be_split_is_named() =>
        Refused(new TensorParallelJob.Options { Args = Args with { MultipleOf = 1025 } }, 2, "feed_forward.w1", "1025 rows");

    [Fact]
    public void Dimensions_that_the_recipe_cannot_cast_after_sharding_are_refused() =>
        Refused(new TensorParallelJob.Options { Args = Args with { Heads = 16, KvHeads = 4 }, Recipe = "mxfp8_cublas" }, 4, "'layers.0.attention.wk' (256 x 64)", "256 x 16 per rank", "multiples of 32", "filter_fqns");

    [Fact]
    public void A_model_without_a_plan_is_refused()
    {
        var context = new ParallelizationContext(
            new Linear(16, 16, device: META), [], ThreadRanks.Alone(new ParallelDimensions(TensorParallel: 2)), MeshAxis.TensorParallel, new TensorParallelOptions());
        var error = Assert.Throws<TitanException>(() => new TensorParallel().Apply(context));
        Assert.Contains("ITensorParallelModel", error.Message, StringComparison.Ordinal);
    }

    private static void Refused(TensorParallelJob.Options options, int ranks, params string[] parts)
    {
        var model = TensorParallelJob.Build(options, new ParallelDimensions(TensorParallel: ranks));
        var error = Assert.Throws<TitanException>(() => model.TensorParallelPlan.Check(model, new ParallelDimensions(TensorParallel: ranks)));
        Assert.Equal(ExitCode.Usage, error.Code);
        foreach (var part in parts) Assert.Contains(part, error.Message, StringComparison.Ordinal);
    }
}
