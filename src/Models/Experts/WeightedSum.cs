using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Models;

/// <summary>Σ over k of scores[t, k] · results[t, k, :], in fp32 and in the order of k.</summary>
internal sealed class WeightedSum : GuardedFunction
{
    private const int Results = 0, Scores = 1;

    /// <summary>The sum.</summary>
    /// <param name="results">[T, K, D].</param>
    /// <param name="scores">fp32 [T, K].</param>
    /// <returns>[T, D] of the results' dtype.</returns>
    public static Tensor Of(Tensor results, Tensor scores) => new WeightedSum().Apply(results, scores);

    protected override Tensor Forward(Tensor[] inputs)
    {
        SaveForBackward(inputs);
        Tensor results = inputs[Results], scores = inputs[Scores];
        var sum = zeros([results.shape[0], results.shape[2]], dtype: ScalarType.Float32, device: results.device);
        for (var k = 0L; k < results.shape[1]; k++) sum.add_(results.select(1, k) * scores.narrow(1, k, 1));
        return sum.to(results.dtype);
    }

    protected override Tensor?[] Backward(Tensor gradient)
    {
        Tensor results = Saved(Results), scores = Saved(Scores);
        Tensor? own = NeedsGradient(Results) ? empty_like(results) : null, ofScores = NeedsGradient(Scores) ? empty_like(scores) : null;
        using var wide = gradient.to(ScalarType.Float32);
        for (var k = 0L; k < results.shape[1]; k++)
        {
            using var step = NewDisposeScope();
            own?.select(1, k).copy_(wide * scores.narrow(1, k, 1));
            ofScores?.select(1, k).copy_((wide * results.select(1, k)).sum(-1));
        }

        return [own, ofScores];
    }
}
