using Titan.Abstractions;
using Titan.Models;
using static TorchSharp.torch;

namespace Titan.Parallelism.Tests.Experts;

/// <summary>Rows and gradients that travel in float8 give what casting after arrival gives; the bytes are those that were planned.</summary>
public sealed class Float8DispatchTests
{
    // Rows of each of 8 experts, by rank; experts 2 and 3 get none, and the third rank sends none.
    private static readonly long[][] Counts = [[7, 3, 0, 0, 11, 1, 2, 40], [1, 0, 0, 0, 0, 33, 5, 2], [0, 0, 0, 0, 0, 0, 0, 0], [3, 3, 0, 0, 3, 3, 3, 3]];

    [Theory]
    [InlineData("float8", 4, 60), InlineData("mx", 2, 60), InlineData("mx_gw_hp", 2, 25)]
    public void Outputs_and_gradients_of_rows_are_equal_to_the_bit(string recipe, int scaleBytes, double decibels)
    {
        var (after, before) = (Run(recipe, false), Run(recipe, true));
        foreach (var ((there, counts), rank) in after.Zip(before).Select((p, i) => ((p, Counts[i]), i)))
        {
            var (plain, coded) = there;
            Assert.True(plain.Output.equal(coded.Output).all().item<bool>(), $"output of rank {rank}");
            Assert.True(plain.Gradient.equal(coded.Gradient).all().item<bool>(), $"gradient of the rows of rank {rank}");
            // The columns of an expert are cast from what arrived, which powers of two as scales hardly change; in high precision they are what arrived.
            foreach (var (fqn, gradient) in plain.Weights)
                if (gradient.abs().max().item<float>() > 0) Assert.True(TensorParallelJob.Sqnr(gradient, coded.Weights[fqn]) > decibels, $"{fqn} of rank {rank}");
            // Rows and gradients of 64 features: bf16, or bytes and scales; results and their gradients come back in bf16.
            var (sent, received) = (counts.Sum(), Counts.Sum(c => c.Skip(2 * rank).Take(2).Sum()));
            Assert.Equal(64 + 2 * 128 * sent + 2 * 128 * received, plain.Bytes);
            Assert.Equal(64 + 2 * (64 + scaleBytes) * sent + 2 * 128 * received, coded.Bytes);
        }
    }

    [Fact]
    public void Rows_that_no_gradient_follows_travel_in_float8_unasked()
    {
        var ranks = Run("float8", false, gradients: false);
        foreach (var (result, rank) in ranks.Select((r, i) => (r, i)))
            Assert.Equal(64 + 68 * Counts[rank].Sum() + 128 * Counts.Sum(c => c.Skip(2 * rank).Take(2).Sum()), result.Bytes);
    }

    private sealed record Result(Tensor Output, Tensor Gradient, IReadOnlyDictionary<string, Tensor> Weights, long Bytes);

    private static Result[] Run(string recipe, bool float8Dispatch, bool gradients = true) => ThreadRanks.Run(new ParallelDimensions(DataParallelShard: 4, ExpertParallel: 4), mesh =>
    {
        using var scope = NewDisposeScope();
        var job = new ExpertJob { Recipe = recipe, Float8Dispatch = float8Dispatch, Type = "bfloat16" };
        var (model, group) = ExpertJob.Model(job, mesh);
        var (_, layer) = model.ExpertLayers[0];
        var waves = arange(Counts[mesh.Rank].Sum() * 64, dtype: ScalarType.Float32).mul(0.37f).add(mesh.Rank).sin().mul(3).reshape(-1, 64);
        var rows = waves.to(ScalarType.BFloat16).requires_grad_(gradients);
        using var mode = set_grad_enabled(gradients);
        var there = layer.Exchange!.Dispatch(rows, tensor(Counts[mesh.Rank]), layer.Experts.Matmul.RowMultiple);
        var home = layer.Exchange.Combine(((ExpertBank)layer.Experts).Forward(there.Rows, there.Groups), there);
        if (gradients)
        {
            home.backward([waves.cos().to(ScalarType.BFloat16)]);
            BackwardFailure.ThrowIfAny();
        }

        return new Result(Keep(home.detach()), Keep(rows.grad ?? rows), layer.Experts.Weights.ToDictionary(w => w.Name, w => Keep(w.Source.Parameter.grad ?? w.Source.Parameter)), group.Bytes("all_to_all"));
    });

    private static Tensor Keep(Tensor x) => x.clone().DetachFromDisposeScope();
}
