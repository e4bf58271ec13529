using Titan.Kernels.Matmuls;
using Titan.Quantization.Scaling;
using static TorchSharp.torch;

namespace Titan.Quantization.Grouped;

/// <summary>Where <see cref="CpuMatmul"/> is: the codes are decoded on their way into the product, block scales with them, and scales that are outside of the sum are applied when the result is rounded.</summary>
internal sealed class GroupedFusedMatmul : GroupedCpuMatmul
{
    public override string Name => "float8 -> fp32, group by group (fused)";

    protected override bool HasWideSums => true;

    protected override void MultiplyInto(Tensor target, QuantizedTensor left, QuantizedTensor right)
    {
        var (leftFactor, rightFactor) = left.HasBlocks && right.HasBlocks ? (null, null) : (left.FactorOutside(), right.FactorOutside());
        CpuMatmul.MultiplyInto(target, Operand(left), Operand(right), leftFactor, rightFactor);
    }

    private static MatmulOperand Operand(QuantizedTensor x) => new(x.Data, x.HasBlocks ? x.Scale : null);
}
