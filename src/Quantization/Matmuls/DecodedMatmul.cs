using Titan.Kernels.Casts;
using Titan.Quantization.Scaling;
using static TorchSharp.torch;

namespace Titan.Quantization.Matmuls;

/// <summary>
/// The CPU backend: every float8 value is exact in bf16, so decode and multiply in bf16 (fp32 accumulation), then apply both inverse scales.
/// The unscaled sum is rounded once to bf16 before scaling, which bf16's range always holds.
/// </summary>
internal sealed class DecodedMatmul(ICastKernels kernels) : IFloat8Matmul
{
    public string Name => $"decode + bf16 ({kernels.Name})";

    public Tensor Multiply(QuantizedTensor left, QuantizedTensor right, ScalarType type, bool fastAccumulation)
    {
        using var scope = NewDisposeScope();
        var product = Decode(left.Data).mm(Decode(right.Data));
        var inverse = left.Scale.reciprocal() * right.Scale.reciprocal();
        if (inverse.numel() > 1 || type != ScalarType.BFloat16) return product.to(ScalarType.Float32).mul_(inverse).to(type).MoveToOuterDisposeScope();
        // A 0-d fp32 factor multiplies in fp32 and rounds once.
        return product.mul_(inverse).MoveToOuterDisposeScope();
    }

    /// <summary>Decodes a transposed view without making it contiguous in float8 first: the memory is decoded as it lies and viewed the same way.</summary>
    private Tensor Decode(Tensor x)
    {
        if (x.is_contiguous()) return kernels.Decode(x);
        using var t = x.t();
        return t.is_contiguous() ? kernels.Decode(t).t() : kernels.Decode(x.contiguous());
    }
}
