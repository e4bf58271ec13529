using Titan.Abstractions;
using Titan.Kernels.Casts;
using Titan.Quantization.Scaling;
using static TorchSharp.torch;

namespace Titan.Quantization.Matmuls;

/// <summary>
/// The CPU backend: every float8 value, also times the power of two of its block, is exact in bf16. So decode, multiply with fp32 accumulation (in bf16, or in fp32 on a CPU
/// that has no bf16 product), then apply the scales that are outside of the sum. A bf16 product rounds the unscaled sum once more, which bf16's range always holds.
/// </summary>
internal sealed class DecodedMatmul(ICastKernels kernels) : IFloat8Matmul
{
    private static readonly ScalarType Type = Abstractions.Matmul.ComputeType(ScalarType.BFloat16, TorchSharp.DeviceType.CPU);

    public string Name => $"decode + {(Type == ScalarType.BFloat16 ? "bf16" : "fp32")} ({kernels.Name})";

    public bool ReadsAlongContracted => false;

    public Tensor Multiply(QuantizedTensor left, QuantizedTensor right, ScalarType type, bool fastAccumulation, bool wide = false)
    {
        using var scope = NewDisposeScope();
        // The scale of a tile is any number: its products with float8 values need fp32. So does an fp32 layer, whose sums a bf16 product would round.
        var inner = left.Tile is not null || right.Tile is not null || type == ScalarType.Float32 ? ScalarType.Float32 : Type;
        var product = Decode(left, inner).mm(Decode(right, inner));
        if (wide) type = ScalarType.Float32;
        if (left.ScalesInside && right.ScalesInside) return product.to(type).MoveToOuterDisposeScope();
        return kernels.Rescale(product, left.FactorOutside(), right.FactorOutside(), type).MoveToOuterDisposeScope();
    }

    private Tensor Decode(QuantizedTensor x, ScalarType type)
    {
        if (x.Tile is not null) return x.Dequantize();
        // A transposed view is decoded as it lies in memory, and viewed the same way.
        if (!x.Data.is_contiguous() && x.Data.t().is_contiguous()) return DecodeAsItLies(x.Transpose(), type).t();
        return DecodeAsItLies(x, type);
    }

    private Tensor DecodeAsItLies(QuantizedTensor x, ScalarType type) =>
        x.HasBlocks ? kernels.DecodeBlocks(x.Data.contiguous(), x.Scale.contiguous(), type) : kernels.Decode(x.Data.contiguous(), type);
}
