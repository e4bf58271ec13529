using Titan.Abstractions;

namespace Titan.Quantization.Roofline;

/// <summary>The time of one matmul: what takes longer, computing or moving, and never less than a kernel takes.</summary>
/// <remarks>Source: torchao's <c>get_individual_gemm_time_sympy</c>.</remarks>
public static class MatmulTime
{
    /// <summary>Seconds of [rows, contracted] · [contracted, columns] with a bf16 result.</summary>
    /// <param name="gpu">The GPU.</param>
    /// <param name="rows">Rows of the result.</param>
    /// <param name="contracted">The contracted dimension.</param>
    /// <param name="columns">Columns of the result.</param>
    /// <param name="matmul">How the operands are cast.</param>
    public static double Seconds(GpuSpec gpu, long rows, long contracted, long columns, MatmulRecipe matmul)
    {
        double left = (double)rows * contracted, right = (double)contracted * columns;
        var float8 = IsFloat8(matmul);
        var read = float8 ? left + right + ScaleBytes(matmul.Left, left) + ScaleBytes(matmul.Right, right) : 2 * (left + right);
        var moved = read + 2.0 * rows * columns;
        return Math.Max(GpuSpec.KernelFloor, Math.Max(gpu.ComputeSeconds(2.0 * rows * contracted * columns, float8), gpu.MoveSeconds(moved)));
    }

    /// <summary>Whether both operands reach the tensor cores in float8. A custom cast gives its values back in high precision.</summary>
    public static bool IsFloat8(MatmulRecipe matmul) => matmul is { Left: OperandCast.Scaled, Right: OperandCast.Scaled };

    /// <summary>One byte (e8m0) or four (float) for each scale along the contracted dimension. The few scales of tensors and rows are not counted, as upstream.</summary>
    private static double ScaleBytes(OperandCast cast, double elements)
    {
        if (cast is not OperandCast.Scaled scaled) return 0;
        var e8m0 = scaled.Rounding is not (ScaleRounding.None or ScaleRounding.PowerOfTwo);
        return scaled.Granularity switch
        {
            ScaleGranularity.Block block => Math.Floor(elements / block.Length) * (e8m0 ? 1 : 4),
            // The hardware wants e8m0 scales for every row, so a tile's are repeated.
            ScaleGranularity.Tile tile => e8m0 ? Math.Floor(elements / tile.Columns) : Math.Floor(elements / ((double)tile.Rows * tile.Columns)) * 4,
            _ => 0,
        };
    }
}
