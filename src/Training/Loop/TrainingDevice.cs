using Titan.Abstractions;
using Titan.Kernels;
using Titan.Kernels.Cuda;
using static TorchSharp.torch;

namespace Titan.Training.Loop;

/// <summary>Where a run computes.</summary>
/// <param name="Device">libtorch's device.</param>
/// <param name="Capability">What converters may know of it.</param>
public sealed record TrainingDevice(Device Device, DeviceCapability Capability)
{
    /// <summary>The CPU.</summary>
    public static TrainingDevice Cpu => new(CPU, DeviceCapability.Cpu);

    /// <summary>
    /// The GPU of this process's local rank where libtorch has one, else the CPU. The environment variable TITAN_DEVICE, <c>cpu</c> or <c>cuda</c>, decides otherwise.
    /// </summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Hardware"/> when a GPU is asked for and there is none, with <see cref="ExitCode.Usage"/> for another value.</exception>
    public static TrainingDevice Choose()
    {
        var wanted = ProgramVariables.Device.Value;
        if (wanted == "cpu") return Cpu;
        var count = CudaDevices.Count;
        if (count == 0)
            return wanted is null
                ? Cpu
                : throw new TitanException(ExitCode.Hardware, $"{ProgramVariables.Device.Name} = cuda: libtorch sees no GPU; build with -p:TorchBackend=cuda, check the driver ('titan doctor'), or unset it");
        var rank = new[] { "LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID" }
            .Select(Environment.GetEnvironmentVariable).Select(t => int.TryParse(t, out var r) ? r : (int?)null).FirstOrDefault(r => r is not null) ?? 0;
        var index = rank % count;
        return new TrainingDevice(new Device(TorchSharp.DeviceType.CUDA, index), CudaDevices.Capability(index));
    }
}
