using Titan.Abstractions;
using Titan.Kernels.Cuda;
using Titan.Quantization.Measurement;
using Titan.Training.Loop;
using TorchSharp;
using static TorchSharp.torch;

namespace Titan.Host.Planning;

/// <summary>What one rank can use of a device, never less than there is.</summary>
/// <param name="Name">For messages.</param>
/// <param name="Bytes">Memory; infinite where it is not known.</param>
/// <param name="FreeBytes">Of it, free now.</param>
/// <param name="FlopsPerSecond">More than any such device reaches.</param>
internal sealed record RankMachine(string Name, double Bytes, double FreeBytes, double FlopsPerSecond)
{
    // A core with bf16 tiles (AMX) at 4 GHz, and a GPU with float8, as their makers count.
    private const double CoreFlops = 8e12, GpuFlops = 5e15;

    /// <summary>The device that a run here would use.</summary>
    public static RankMachine Here()
    {
        try
        {
            return Of(TrainingDevice.Choose().Device, 1);
        }
        catch (TitanException)
        {
            // A plan needs no device; a run says what is wrong with it.
            return Of(CPU, 1);
        }
    }

    /// <summary>A rank's part of a device.</summary>
    /// <param name="device">What it computes on.</param>
    /// <param name="ranks">The ranks of this machine, which share its memory and cores.</param>
    public static RankMachine Of(Device device, int ranks)
    {
        if (device.type == DeviceType.CUDA)
        {
            var (inUse, total) = CudaMemory.Of(Math.Max(device.index, 0)).Read();
            return new RankMachine($"{device}", total, total - inUse, GpuFlops);
        }

        var hardware = Hardware.Current;
        return new RankMachine(ranks == 1 ? "this machine" : $"this machine, for each of its {ranks} ranks,", (double)hardware.TotalBytes / ranks, (double)hardware.AvailableBytes / ranks, CoreFlops * hardware.Cores / ranks);
    }
}
