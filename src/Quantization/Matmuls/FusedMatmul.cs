using Titan.Kernels.Matmuls;
using Titan.Quantization.Scaling;
using static TorchSharp.torch;

namespace Titan.Quantization.Matmuls;

/// <summary>
/// The CPU backend where <see cref="CpuMatmul"/> is: the codes are decoded on their way into the product, block scales with them, and scales that are outside of the sum are applied when the result is
/// rounded.
/// </summary>
internal sealed class FusedMatmul : IFloat8Matmul
{
    public string Name => "float8 -> fp32 (fused)";

    public bool ReadsAlongContracted => false;

    public Tensor Multiply(QuantizedTensor left, QuantizedTensor right, ScalarType type, bool fastAccumulation, bool wide = false)
    {
        using var scope = NewDisposeScope();
        if (wide) type = ScalarType.Float32;
        Tensor? leftFactor = null, rightFactor = null;
        if (!left.ScalesInside || !right.ScalesInside) (leftFactor, rightFactor) = (left.FactorOutside(), right.FactorOutside());
        // The product writes bf16 and fp32; fp16 is rounded from fp32.
        var written = type == ScalarType.BFloat16 ? type : ScalarType.Float32;
        return CpuMatmul.Multiply(Operand(left), Operand(right), written, leftFactor, rightFactor).to(type).MoveToOuterDisposeScope();
    }

    /// <summary>Scales of tiles are any number: their products with float8 values are made in fp32 beforehand.</summary>
    private static MatmulOperand Operand(QuantizedTensor x) => x.Tile is not null ? new MatmulOperand(x.Dequantize()) : new MatmulOperand(x.Data, x.HasBlocks ? x.Scale : null);
}
