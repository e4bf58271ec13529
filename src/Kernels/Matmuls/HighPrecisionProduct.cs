using TorchSharp;
using Titan.Abstractions;
using Titan.Kernels.Aten;
using static TorchSharp.torch;

namespace Titan.Kernels.Matmuls;

/// <summary>The fastest product of bf16, fp16 and fp32 matrices on a device: <see cref="CpuMatmul"/> where the CPU has no bf16 product, else the libraries'.</summary>
public static class HighPrecisionProduct
{
    /// <summary>Whether this libtorch's product on a GPU writes fp32; false once it has refused.</summary>
    private static volatile bool gpuWritesFloat32 = true;

    /// <summary>left · right, as <see cref="MatrixProduct"/> says. A GPU's product gives its sums in fp32, as does that of a CPU which multiplies bf16 in fp32.</summary>
    public static Tensor Multiply(Tensor left, Tensor right, bool wide = false)
    {
        if (CpuMatmul.Covers(left, right)) return CpuMatmul.Multiply(left, right, wide);
        var sums = wide && gpuWritesFloat32 && left.dim() == 2 && left.dtype is ScalarType.BFloat16 or ScalarType.Float16 && left.device_type == DeviceType.CUDA && right.device_type == DeviceType.CUDA;
        if (!sums) return Matmul.Multiply(left, right, wide);
        try
        {
            return AtenGateway.MatmulToFloat32(left, right);
        }
        catch (InvalidOperationException)
        {
            // An operator of libtorch 2.8 and later that no run needs: gradients are then rounded to the operands' dtype, as a CPU that multiplies in bf16 rounds them.
            gpuWritesFloat32 = false;
            return Matmul.Multiply(left, right);
        }
    }
}
