using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Kernels.Cuda;

/// <summary>The GPUs that libtorch sees.</summary>
public static class CudaDevices
{
    /// <summary>How many; 0 with a libtorch for the CPU or without a driver.</summary>
    public static int Count => cuda.is_available() ? cuda.device_count() : 0;

    /// <summary>The compute capability of a GPU.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Hardware"/> when the driver does not answer.</exception>
    public static DeviceCapability Capability(int ordinal)
    {
        var driver = CudaDriver.Open();
        var capability = driver.ComputeCapability(driver.Device(ordinal));
        return new DeviceCapability(true, capability / 10, capability % 10);
    }

    /// <summary>The model name of a GPU.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Hardware"/> when the driver does not answer.</exception>
    public static string Name(int ordinal)
    {
        var driver = CudaDriver.Open();
        return driver.Name(driver.Device(ordinal));
    }
}
