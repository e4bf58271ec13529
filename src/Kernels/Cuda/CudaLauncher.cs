using TorchSharp;
using static TorchSharp.torch;

namespace Titan.Kernels.Cuda;

/// <summary>Launches through the driver, on torch's current stream, what the cache compiled for the device. A source is loaded when its first kernel is used.</summary>
/// <param name="driver">The CUDA driver.</param>
/// <param name="cache">Compiled kernels.</param>
/// <param name="currentStream">From a device's number to torch's stream there.</param>
/// <param name="device">Where tensors must lie; anything but CUDA is for tests.</param>
internal sealed unsafe class CudaLauncher(CudaDriver driver, KernelCache cache, Func<int, nint> currentStream, DeviceType device = DeviceType.CUDA) : IKernelLauncher
{
    /// <summary>Blocks of 256 threads that one multiprocessor holds at once.</summary>
    private const int BlocksPerMultiprocessor = 8;

    private readonly Lock gate = new();
    private readonly Dictionary<int, LoadedDevice> devices = [];

    public DeviceType Device => device;

    public int BlocksToFill(Device on) => Of(on).Multiprocessors * BlocksPerMultiprocessor;

    public long SharedMemory(Device on) => Of(on).SharedMemory;

    public void Launch(string source, string kernel, Device on, LaunchGrid grid, params ReadOnlySpan<KernelArgument> arguments)
    {
        var target = Of(on);
        var stream = currentStream(target.Ordinal);
        var previous = driver.Enter(target.Context);
        try
        {
            Queue(Function(target, source, kernel, grid), kernel, grid, stream, arguments);
        }
        finally
        {
            // The context decides which device torch believes to be the current one.
            if (previous != 0) driver.Enter(previous);
        }

        // Queued: from here the stream's order protects the memory, even if the tensors are disposed.
        foreach (var argument in arguments) GC.KeepAlive(argument.Tensor);
    }

    private void Queue(nint function, string kernel, LaunchGrid grid, nint stream, ReadOnlySpan<KernelArgument> arguments)
    {
        var values = stackalloc ulong[arguments.Length];
        var parameters = stackalloc void*[arguments.Length];
        for (var i = 0; i < arguments.Length; i++)
        {
            var argument = arguments[i];
            values[i] = !argument.IsPointer ? argument.Bits : argument.Tensor is { } tensor ? (ulong)TorchStream.Address(tensor) : 0;
            parameters[i] = values + i;
        }

        driver.Launch(function, kernel, grid, stream, parameters);
    }

    private LoadedDevice Of(Device on)
    {
        var ordinal = Math.Max(on.index, 0);
        lock (gate)
        {
            if (devices.TryGetValue(ordinal, out var known)) return known;
            var id = driver.Device(ordinal);
            var loaded = new LoadedDevice(
                ordinal, driver.PrimaryContext(id), driver.MultiprocessorCount(id), driver.SharedMemory(id), Architecture.Choose(driver.ComputeCapability(id), cache.Architectures), [], [], []);
            devices.Add(ordinal, loaded);
            return loaded;
        }
    }

    private nint Function(LoadedDevice target, string source, string kernel, LaunchGrid grid)
    {
        lock (gate)
        {
            var function = Function(target, source, kernel);
            if (grid.Shared > CudaDriver.SharedWithoutAsking && target.Shared.GetValueOrDefault(function) < grid.Shared)
            {
                driver.AllowShared(function, kernel, grid.Shared);
                target.Shared[function] = grid.Shared;
            }

            return function;
        }
    }

    private nint Function(LoadedDevice target, string source, string kernel)
    {
        if (target.Functions.TryGetValue(kernel, out var function)) return function;
        if (!target.Modules.TryGetValue(source, out var module))
        {
            module = driver.Load(cache.Image(source, CudaSources.Text(source), CudaSources.Headers, target.Architecture), source);
            target.Modules.Add(source, module);
        }

        function = driver.Function(module, kernel);
        target.Functions.Add(kernel, function);
        return function;
    }

    private sealed record LoadedDevice(
        int Ordinal, nint Context, int Multiprocessors, int SharedMemory, string Architecture, Dictionary<string, nint> Modules, Dictionary<string, nint> Functions,
        Dictionary<nint, uint> Shared);
}
