using Titan.Abstractions;

namespace Titan.Quantization.Roofline;

/// <summary>
/// Estimates what a recipe gains for a linear layer with input X[M,K], weight W[N,K], upstream gradient G[M,N], bf16 compute, on one GPU.
/// Everything comes from the recipe's data, so a recipe that this code has never seen gets an estimate too.
/// </summary>
public static class RooflineModel
{
    /// <summary>Estimates one layer.</summary>
    /// <param name="gpu">The GPU.</param>
    /// <param name="recipe">The recipe.</param>
    /// <param name="tokens">M.</param>
    /// <param name="shape">K x N.</param>
    /// <param name="fused">Whether the casts of X and G are fused with the operation before, so that their first read is free.</param>
    public static LinearEstimate Estimate(GpuSpec gpu, LinearRecipe recipe, long tokens, LinearShape shape, bool fused)
    {
        var (m, k, n) = (tokens, shape.K, shape.N);
        var casts = CastTraffic.OfInput(recipe, m * k, fused).Concat(CastTraffic.OfWeight(recipe, k * n)).Concat(CastTraffic.OfGradOutput(recipe, m * n, fused));
        return new LinearEstimate(
            m, shape, Bf16Seconds(gpu, tokens, shape), Matmuls(gpu, recipe.Output, recipe.GradInput, recipe.GradWeight, m, k, n),
            casts.Sum(bytes => Math.Max(GpuSpec.KernelFloor, gpu.MoveSeconds(bytes))));
    }

    /// <summary>Seconds of a layer's three matmuls in bf16.</summary>
    /// <inheritdoc cref="Estimate" path="/param" />
    public static double Bf16Seconds(GpuSpec gpu, long tokens, LinearShape shape) =>
        Matmuls(gpu, MatmulRecipe.HighPrecision, MatmulRecipe.HighPrecision, MatmulRecipe.HighPrecision, tokens, shape.K, shape.N);

    /// <summary>What a reader of the estimate should know of the recipe: matmuls that stay in high precision, casts that only their author knows.</summary>
    public static IEnumerable<string> Notes(LinearRecipe recipe)
    {
        foreach (var (name, matmul) in new[] { ("output", recipe.Output), ("grad_input", recipe.GradInput), ("grad_weight", recipe.GradWeight) })
            if (!MatmulTime.IsFloat8(matmul)) yield return $"{name} is multiplied in high precision ({matmul.Left} · {matmul.Right})";
        var custom = recipe.Casts().OfType<OperandCast.Custom>().Select(c => c.ToString()).Distinct().ToList();
        if (custom.Count > 0) yield return $"custom casts ({string.Join(", ", custom)}) are counted as one read and one write in bf16; what they compute is not known";
    }

    /// <summary>output [M,K]·[K,N], grad_input [M,N]·[N,K], grad_weight [N,M]·[M,K].</summary>
    private static double Matmuls(GpuSpec gpu, MatmulRecipe output, MatmulRecipe gradInput, MatmulRecipe gradWeight, long m, long k, long n) =>
        MatmulTime.Seconds(gpu, m, k, n, output) + MatmulTime.Seconds(gpu, m, n, k, gradInput) + MatmulTime.Seconds(gpu, n, m, k, gradWeight);
}
