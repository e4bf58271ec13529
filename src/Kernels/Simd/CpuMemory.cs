using TorchSharp;
using Titan.Kernels.Aten;
using static TorchSharp.torch;

namespace Titan.Kernels.Simd;

/// <summary>Which tensors the C# kernels can read, and where they lie.</summary>
internal static class CpuMemory
{
    /// <summary>Whether tensors of this dtype on this device are for the C# kernels.</summary>
    public static bool Covers(ScalarType type, DeviceType device) => device == DeviceType.CPU && type is ScalarType.Float32 or ScalarType.BFloat16;

    /// <summary>Whether tensors of this dtype on this device are for the CUDA kernels.</summary>
    public static bool IsForCuda(ScalarType type, DeviceType device) => device == DeviceType.CUDA && type is ScalarType.Float32 or ScalarType.BFloat16;

    /// <summary>The first element; the caller keeps the tensor alive.</summary>
    public static unsafe byte* Pointer(Tensor tensor) => (byte*)TensorMemory.Address(tensor);
}
