using Titan.Abstractions;

namespace Titan.Quantization.Roofline;

/// <summary>
/// The memory traffic of casting one tensor for the two matmuls that it feeds, derived from its two casts. For a tensor of n elements in bf16, bytes per kernel,
/// r = 2n, or 0 where the read is fused with the operation before:
/// <code>
///                        input, grad_output   weight
/// tensorwise             r, 0, 4n             2n, 0, 3n, 3n    amax; its last stage; the cast (both layouts at once for what is at hand in both)
/// rowwise                r+3n, 3n             3n, 4n, 3n       a vector across the rows needs the tensor transposed in bf16 first
/// rowwise, then none     r+n                                   (rowwise_with_gw_hp)
/// rowwise, tensorwise                         3n, 0, 3n        the amax comes out of the rowwise cast's read
/// blocks                 r+n, 3n              3n, 3n           a block across the rows fits into a tile
/// square tiles                                3n, 2n           the second layout is a transposed copy of the bytes
/// </code>
/// </summary>
/// <remarks>Source: torchao's <c>get_tensor_memory_traffic_ovhd_s</c>, whose lists for its own recipes follow from the rules here.</remarks>
public static class CastTraffic
{
    /// <summary>X[M,K]: cast along K by the output matmul, along M by grad_weight.</summary>
    /// <param name="recipe">The recipe.</param>
    /// <param name="n">Elements, M·K.</param>
    /// <param name="fused">Whether the operation before leaves the first read out.</param>
    /// <returns>Bytes read and written by each kernel; a kernel of 0 bytes still costs its launch.</returns>
    public static IReadOnlyList<long> OfInput(LinearRecipe recipe, long n, bool fused) => Kernels(recipe.Output.Left, recipe.GradWeight.Right, n, atHand: true, fused);

    /// <summary>W[N,K]: cast along K by the output matmul, along N by grad_input. It changes too seldom to be fused with what made it.</summary>
    /// <inheritdoc cref="OfInput" path="/returns" />
    public static IReadOnlyList<long> OfWeight(LinearRecipe recipe, long n) => Kernels(recipe.Output.Right, recipe.GradInput.Right, n, atHand: false, fused: false);

    /// <summary>G[M,N]: cast along N by grad_input, along M by grad_weight.</summary>
    /// <inheritdoc cref="OfInput" path="/returns" />
    public static IReadOnlyList<long> OfGradOutput(LinearRecipe recipe, long n, bool fused) => Kernels(recipe.GradInput.Left, recipe.GradWeight.Left, n, atHand: true, fused);

    /// <param name="rows">The cast along the contiguous dimension.</param>
    /// <param name="columns">The cast along the other.</param>
    /// <param name="n">Elements.</param>
    /// <param name="atHand">Whether both casts can be made at the same time; a weight is cast once in forward and once in backward, so that nothing is kept.</param>
    /// <param name="fused">Whether the first read is free.</param>
    private static List<long> Kernels(OperandCast rows, OperandCast columns, long n, bool atHand, bool fused)
    {
        long hp = 2 * n, f8 = n, cast = hp + f8, read = fused ? 0 : hp;
        List<long> kernels = rows switch
        {
            OperandCast.HighPrecision => [],
            OperandCast.Custom => [read + hp],      // quantised and dequantised: leaves bf16
            OperandCast.Scaled { Granularity: ScaleGranularity.Tensorwise } => [read, 0, cast],
            _ => [read + f8],
        };

        switch (columns)
        {
            case OperandCast.HighPrecision:
                break;
            case OperandCast.Custom:
                kernels.Add(hp + hp);
                break;
            case OperandCast.Scaled { Granularity: ScaleGranularity.Tensorwise } when rows == columns && atHand:
                kernels[^1] += f8;
                break;
            case OperandCast.Scaled { Granularity: ScaleGranularity.Tensorwise }:
                if (rows is not OperandCast.Scaled) kernels.AddRange([kernels.Count == 0 ? read : hp, 0]);
                else if (rows is OperandCast.Scaled { Granularity: not ScaleGranularity.Tensorwise }) kernels.Add(0);
                kernels.Add(cast);
                break;
            case OperandCast.Scaled { Granularity: ScaleGranularity.Rowwise }:
                if (!atHand) kernels.Add(hp + hp);
                else if (kernels.Count == 0) kernels.Add(read + hp);
                else kernels[^1] += hp;
                kernels.Add(cast);
                break;
            case OperandCast.Scaled { Granularity: ScaleGranularity.Tile tile } when rows == columns && tile.Rows == tile.Columns:
                kernels.Add(f8 + f8);
                break;
            default:
                kernels.Add(cast);
                break;
        }

        return kernels;
    }
}
