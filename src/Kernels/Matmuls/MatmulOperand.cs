using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Kernels.Casts;
using Titan.Kernels.Simd;
using static TorchSharp.torch;

namespace Titan.Kernels.Matmuls;

/// <summary>A matrix of a product, as it lies in memory; transposed views are as good as others.</summary>
/// <param name="Data">[R, C] in bf16, fp32, e4m3 or e5m2, on the CPU.</param>
/// <param name="BlockScale">e8m0 [R, C / L] for a left operand, [R / L, C] for a right one, where blocks of L elements have a scale of their own; null for none.</param>
public sealed record MatmulOperand(Tensor Data, Tensor? BlockScale = null)
{
    /// <summary>The matrix with the lanes that the packing reads.</summary>
    /// <param name="lanes">The dimension that the result keeps: 0 of a left, 1 of a right operand.</param>
    internal unsafe PanelView AsPanels(int lanes)
    {
        var inner = 1 - lanes;
        var strides = Data.Strides();
        var view = new PanelView { Data = CpuMemory.Pointer(Data), Lanes = Data.Sizes()[lanes], LaneStride = strides[lanes], DepthStride = strides[inner] };
        if (BlockScale is not { } scale) return view;
        long length = scale.dim() == 2 && scale.Sizes()[inner] > 0 ? Data.Sizes()[inner] / scale.Sizes()[inner] : 0;
        if (scale.dtype != Float8Format.E8M0.Type || length == 0 || scale.Sizes()[lanes] != Data.Sizes()[lanes] || length * scale.Sizes()[inner] != Data.Sizes()[inner] || BlockedProduct.Depth % length != 0)
            throw new ArgumentException($"block scales {scale.dtype} [{string.Join(", ", scale.shape)}] do not fit a matrix [{string.Join(", ", Data.shape)}]; expected e8m0, one for each {BlockEncoder.Length} elements of dimension {inner}");
        var scaleStrides = scale.Strides();
        return view with { Scales = CpuMemory.Pointer(scale), ScaleLaneStride = scaleStrides[lanes], ScaleDepthStride = scaleStrides[inner], BlockLength = (int)length };
    }
}
