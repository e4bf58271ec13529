using CsCheck;
using Titan.Abstractions;
using Titan.Training.Losses;
using static TorchSharp.torch;

namespace Titan.Parallelism.Tests;

public sealed class VocabularyParallelLossTests
{
    [Fact]
    public void Loss_and_gradient_are_those_of_the_whole_vocabulary() =>
        Gen.Select(Gen.Int[2, 4], Gen.Int[1, 40], Gen.Int[1, 7], Gen.Int[0, 1000], Gen.Double[1, 30]).Sample((ranks, rows, width, seed, spread) =>
        {
            var random = new Random(seed);
            var vocabulary = ranks * width;
            var x = tensor(Enumerable.Range(0, rows * vocabulary).Select(_ => (float)((random.NextDouble() - 0.5) * spread)).ToArray(), [1, rows, vocabulary]);
            var labels = tensor(Enumerable.Range(0, rows).Select(_ => random.Next(5) == 0 ? -100L : random.Next(vocabulary)).ToArray());
            foreach (var whole in new LossFunction[] { CrossEntropy.Plain, CrossEntropy.Chunked })
            {
                var (loss, gradient) = Run(x, labels, (l, t) => whole(l, t, 1));
                var many = ThreadRanks.Run(new ParallelDimensions(TensorParallel: ranks), mesh =>
                {
                    var group = mesh.Group(MeshAxis.TensorParallel);
                    return Run(x.narrow(-1, group.Rank * width, width).contiguous(), labels, (l, t) => VocabularyParallelCrossEntropy.Sum(l, t, group));
                });
                Assert.All(many, m => Assert.Equal(many[0].Loss, m.Loss));
                Assert.True(Math.Abs(loss - many[0].Loss) <= 1e-4 * Math.Max(1, Math.Abs(loss)), $"{many[0].Loss}, expected {loss}");
                Assert.True((gradient - cat([.. many.Select(m => m.Gradient)], -1)).abs().max().item<float>() < 1e-5);
            }
        }, iter: 15, threads: 1);

    [Fact]
    public void More_rows_than_a_chunk_and_bf16_logits_are_served()
    {
        var x = (arange(2 * 300 * 8, dtype: ScalarType.Float32).sin() * 3).reshape(2, 300, 8).to(ScalarType.BFloat16);
        var labels = arange(600, dtype: ScalarType.Int64) % 8;
        var (loss, gradient) = Run(x, labels, (l, t) => CrossEntropy.Plain(l, t));
        var many = ThreadRanks.Run(new ParallelDimensions(TensorParallel: 2), mesh =>
        {
            var group = mesh.Group(MeshAxis.TensorParallel);
            return Run(x.narrow(-1, group.Rank * 4, 4), labels, (l, t) => VocabularyParallelCrossEntropy.Sum(l, t, group));
        });
        Assert.Equal(loss, many[0].Loss, 1e-5 * loss);
        Assert.True(TensorParallelJob.Sqnr(gradient, cat([.. many.Select(m => m.Gradient)], -1)) > 60);
    }

    [Fact]
    public void Labels_that_are_all_ignored_give_no_loss_and_no_gradient()
    {
        var many = ThreadRanks.Run(new ParallelDimensions(TensorParallel: 2), mesh =>
            Run(ones(1, 3, 4), full([3], -100L, dtype: ScalarType.Int64), (l, t) => VocabularyParallelCrossEntropy.Sum(l, t, mesh.Group(MeshAxis.TensorParallel))));
        Assert.Equal(0, many[1].Loss);
        Assert.Equal(0, many[1].Gradient.abs().max().item<float>());
    }

    [Fact]
    public void A_label_that_no_rank_holds_is_named()
    {
        var error = Assert.Throws<InvalidOperationException>(() => ThreadRanks.Run(new ParallelDimensions(TensorParallel: 2), mesh =>
            Run(ones(1, 2, 4), tensor(new[] { 1L, 8L }), (l, t) => VocabularyParallelCrossEntropy.Sum(l, t, mesh.Group(MeshAxis.TensorParallel)))));
        Assert.Contains("label 8; expected 0 to 7, or -100", error.Message, StringComparison.Ordinal);
    }

    private static (double Loss, Tensor Gradient) Run(Tensor logits, Tensor labels, Func<Tensor, Tensor, Tensor> sum)
    {
        var x = logits.detach().clone().requires_grad_(true);
        var loss = sum(x, labels);
        (loss * 0.5).backward();
        BackwardFailure.ThrowIfAny();
        return (loss.item<float>(), x.grad!);
    }
}
