using Titan.Kernels.Cuda;
using TorchSharp;
using static TorchSharp.torch;

namespace Titan.Training.Metrics;

/// <summary>Memory of the device that a run computes on, where that is not the process's own.</summary>
/// <param name="GiB">In use: of all processes on the device, with what libtorch holds for reuse.</param>
/// <param name="Percent">Of the device's.</param>
public sealed record DeviceMemory(double GiB, double Percent)
{
    /// <summary>What reads it: null on the CPU, whose memory is the process's.</summary>
    public static Func<DeviceMemory>? ReaderOf(Device device)
    {
        if (device.type != DeviceType.CUDA) return null;
        var memory = CudaMemory.Of(Math.Max(device.index, 0));
        return () => Of(memory.Read());
    }

    internal static DeviceMemory Of((long InUse, long Total) bytes) => new(bytes.InUse / (double)(1L << 30), 100.0 * bytes.InUse / bytes.Total);
}
