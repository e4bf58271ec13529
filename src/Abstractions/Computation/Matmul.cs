using System.Runtime.Intrinsics.X86;
using TorchSharp;
using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>
/// Matrix products in high precision. A CPU without AVX-512 has no fast bf16 product: ATen's takes up to twenty times as long there as the fp32 one. Such products are
/// computed in fp32 and rounded once to bf16, which is what bf16 with fp32 accumulation gives.
/// </summary>
public static class Matmul
{
    private static readonly bool CpuMultipliesBFloat16 = Avx512BW.IsSupported || !Avx2.IsSupported;

    /// <summary>The dtype to multiply operands of <paramref name="type"/> in on a device.</summary>
    public static ScalarType ComputeType(ScalarType type, DeviceType device) =>
        type == ScalarType.BFloat16 && device == DeviceType.CPU && !CpuMultipliesBFloat16 ? ScalarType.Float32 : type;

    /// <summary>left · right; not differentiable.</summary>
    /// <param name="left">[..., R, I].</param>
    /// <param name="right">[I, C] of the same dtype.</param>
    /// <param name="wide">Whether the sums are wanted in fp32 where they are made there.</param>
    /// <returns>[..., R, C] of the operands' dtype, or of fp32: a <see cref="MatrixProduct"/>.</returns>
    public static Tensor Multiply(Tensor left, Tensor right, bool wide = false)
    {
        var type = ComputeType(left.dtype, left.device_type);
        if (type == left.dtype) return left.matmul(right);
        using var a = left.to(type);
        using var b = right.to(type);
        var product = a.matmul(b);
        if (wide) return product;
        using (product) return product.to(left.dtype);
    }
}
