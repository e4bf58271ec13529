using TorchSharp;
using static TorchSharp.torch;

namespace Titan.Kernels.Cuda;

/// <summary>Runs kernels: on a GPU, or on the CPU in tests.</summary>
internal interface IKernelLauncher
{
    /// <summary>Where tensors must lie.</summary>
    DeviceType Device { get; }

    /// <summary>How many blocks fill a device.</summary>
    /// <param name="device">A tensor's device.</param>
    int BlocksToFill(Device device);

    /// <summary>Bytes of shared memory that a block may have.</summary>
    /// <param name="device">A tensor's device.</param>
    long SharedMemory(Device device);

    /// <summary>Queues a launch on the current stream of the tensors' device.</summary>
    /// <param name="source">Name of the source that holds the kernel, without <c>.cu</c>.</param>
    /// <param name="kernel">Name of the kernel.</param>
    /// <param name="device">The tensors' device.</param>
    /// <param name="grid">Blocks and threads.</param>
    /// <param name="arguments">In the kernel's order.</param>
    void Launch(string source, string kernel, Device device, LaunchGrid grid, params ReadOnlySpan<KernelArgument> arguments);
}
