using TorchSharp;
using Titan.Abstractions;
using Titan.Kernels.Aten;
using static TorchSharp.torch;

namespace Titan.Kernels.Matmuls;

/// <summary>The fastest product of bf16, fp16 and fp32 matrices on a device: <see cref="CpuMatmul"/> where the CPU has no bf16 product, else the libraries'.</summary>
public static class HighPrecisionProduct
{
    /// <summary>left · right, as <see cref="MatrixProduct"/> says. A GPU's product gives its sums in fp32, as does that of a CPU which multiplies bf16 in fp32.</summary>
    public static Tensor Multiply(Tensor left, Tensor right, bool wide = false)
    {
        if (CpuMatmul.Covers(left, right)) return CpuMatmul.Multiply(left, right, wide);
        var sums = wide && left.dim() == 2 && left.dtype is ScalarType.BFloat16 or ScalarType.Float16 && left.device_type == DeviceType.CUDA && right.device_type == DeviceType.CUDA;
        return sums ? AtenGateway.MatmulToFloat32(left, right) : Matmul.Multiply(left, right, wide);
    }
}
