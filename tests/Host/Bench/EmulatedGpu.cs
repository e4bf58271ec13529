using System.Collections.Concurrent;
using Titan.Abstractions;
using Titan.Kernels.Cuda;
using Titan.Kernels.Tests.Cuda;
using Titan.Training.Loop;
using TorchSharp;
using static TorchSharp.torch;

namespace Titan.Host.Tests.Bench;

/// <summary>
/// A device that takes every path of a GPU, while its tensors lie in the CPU's memory: kernels of native/ run by their emulation, products by <c>_scaled_mm</c>. For the rest of this process, where nothing else asks for
/// CUDA kernels.
/// </summary>
public sealed class EmulatedGpu
{
    private static readonly Lazy<CountingLauncher> Kernels = new(() =>
    {
        var launcher = new CountingLauncher(new EmulatedLauncher(NativeBuild.Build("library.cpp", "libemulation.so", "-O2 -shared -fPIC")).In(ThreadOrder.Forward));
        CudaKernels.Use(launcher);
        return launcher;
    });

    /// <summary>An H100 by its capability.</summary>
    public static TrainingDevice Device
    {
        get
        {
            _ = Kernels.Value;
            return new TrainingDevice(CPU, new DeviceCapability(true, 9, 0));
        }
    }

    /// <summary>The kernels that were launched since the last time, in their order.</summary>
    public static IReadOnlyCollection<string> Launched() => Kernels.Value.Take();

    private sealed class CountingLauncher(IKernelLauncher launcher) : IKernelLauncher
    {
        private ConcurrentQueue<string> names = [];

        public DeviceType Device => launcher.Device;

        public int BlocksToFill(Device device) => launcher.BlocksToFill(device);

        public long SharedMemory(Device device) => launcher.SharedMemory(device);

        public void Launch(string source, string kernel, Device device, LaunchGrid grid, params ReadOnlySpan<KernelArgument> arguments)
        {
            names.Enqueue(kernel);
            launcher.Launch(source, kernel, device, grid, arguments);
        }

        public IReadOnlyCollection<string> Take() => [.. Interlocked.Exchange(ref names, [])];
    }
}
