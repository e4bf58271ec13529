using System.Runtime.InteropServices;
using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Kernels.Cuda;

/// <summary>What a launch needs from libtorch: its current stream, and the addresses of tensors.</summary>
internal static unsafe partial class TorchStream
{
    private static readonly Lazy<nint> GetCurrent = new(() =>
    {
        // TorchSharp has loaded it already: ask for the same file, by the name it was loaded under.
        foreach (var name in new[] { "libtorch_cuda.so", "torch_cuda.dll" })
            if (NativeLibrary.TryLoad(name, typeof(TorchStream).Assembly, null, out var handle)) return NativeLibrary.GetExport(handle, "aoti_torch_get_current_cuda_stream");
        throw new TitanException(ExitCode.Hardware, "libtorch_cuda.so was not found: this build has the CPU's libtorch; build with -p:TorchBackend=cuda or set TITAN_LIBTORCH");
    });

    /// <summary>The stream that torch's operations on a device are queued on now. Work queued there is ordered with them, and tensors' memory is safe until it has run.</summary>
    public static nint Current(int device)
    {
        var call = (delegate* unmanaged<int, out nint, int>)GetCurrent.Value;
        var code = call(device, out var stream);
        if (code != 0) throw new TitanException(ExitCode.Hardware, $"libtorch gave no current stream for CUDA device {device} (error {code})");
        return stream;
    }

    /// <summary>The address of the first element, on whatever device.</summary>
    public static nint Address(Tensor tensor) => Data(tensor.Handle);

    [LibraryImport("LibTorchSharp", EntryPoint = "THSTensor_data")]
    private static partial nint Data(nint tensor);
}
