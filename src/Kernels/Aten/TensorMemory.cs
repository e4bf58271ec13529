using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Titan.Kernels.Aten;

/// <summary>Raw access to the memory of CPU tensors.</summary>
public static partial class TensorMemory
{
    /// <summary>
    /// The address of the first element. Keep the tensor alive (<see cref="GC.KeepAlive"/>) for as long as the address is used; the caller knows its length from
    /// <c>numel</c> and <c>element_size</c>.
    /// </summary>
    public static nint Address(Tensor tensor)
    {
        if (tensor.device_type != TorchSharp.DeviceType.CPU) throw new ArgumentException($"a tensor on {tensor.device} has no address on the CPU");
        return Data(tensor.Handle);
    }

    /// <summary>A number that tells tensors apart whose memory is alive; on any device.</summary>
    public static nint Identity(Tensor tensor) => Data(tensor.Handle);

    [LibraryImport("LibTorchSharp", EntryPoint = "THSTensor_data")]
    private static partial nint Data(nint tensor);
}
