using Titan.Kernels.Aten;
using Titan.Kernels.Casts;
using Titan.Quantization.Scaling;
using static TorchSharp.torch;

namespace Titan.Quantization.Grouped;

/// <summary>
/// Where ATen multiplies bf16 fast: an expert is decoded with its scales, which are powers of two so that the values are exact in bf16, and multiplied while it is still in the cache.
/// </summary>
/// <param name="kernels">What decodes.</param>
internal sealed class GroupedDecodedMatmul(ICastKernels kernels) : GroupedCpuMatmul
{
    public override string Name => $"decode + bf16, group by group ({kernels.Name})";

    protected override bool HasWideSums => false;

    protected override void MultiplyInto(Tensor target, QuantizedTensor left, QuantizedTensor right) => AtenGateway.MatmulInto(Decode(left, target.dtype), Decode(right, target.dtype), target);

    /// <summary>A transposed view is decoded as it lies in memory, and viewed the same way.</summary>
    private Tensor Decode(QuantizedTensor x, ScalarType type) =>
        x.Data.is_contiguous() ? AsItLies(x, type) : x.Data.t().is_contiguous() ? AsItLies(x.Transpose(), type).t() : AsItLies(x with { Data = x.Data.contiguous() }, type);

    private Tensor AsItLies(QuantizedTensor x, ScalarType type) =>
        x.HasBlocks ? kernels.DecodeBlocks(x.Data, x.Scale.contiguous(), type) : kernels.DecodeScaled(x.Data, x.FactorOutside().contiguous(), type);
}
