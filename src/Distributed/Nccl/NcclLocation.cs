using System.Runtime.InteropServices;
using Titan.Abstractions;

namespace Titan.Distributed.Nccl;

/// <summary>Finds NCCL: where the user says, where the loader looks, or beside libtorch as pip installs it.</summary>
internal static class NcclLocation
{
    private const string Name = "libnccl.so.2";

    public static nint Load() => Load(Environment.GetEnvironmentVariable("NCCL_LIBRARY"), TorchFolder());

    public static nint Load(string? library, string? torchFolder)
    {
        if (!string.IsNullOrEmpty(library))
        {
            if (NativeLibrary.TryLoad(library, out var chosen)) return chosen;
            throw new TitanException(ExitCode.Usage, $"NCCL_LIBRARY = {library}: no such library, or the loader refuses it");
        }

        string[] places = torchFolder is null ? [Name] : [Name, Path.Combine(torchFolder, Name), Path.Combine(torchFolder, "../../nvidia/nccl/lib", Name)];
        foreach (var place in places)
            if (NativeLibrary.TryLoad(place, out var found)) return found;
        throw new TitanException(ExitCode.Hardware,
            $"{Name} was not found (tried {string.Join(", ", places)}): ranks on CUDA devices communicate over NCCL; install NVIDIA's NCCL, or set NCCL_LIBRARY to it");
    }

    /// <summary>The folder of the libtorch in this process.</summary>
    private static string? TorchFolder() => !File.Exists("/proc/self/maps") ? null : File.ReadLines("/proc/self/maps")
        .Select(line => line[(line.IndexOf('/') is >= 0 and var at ? at : line.Length)..])
        .Where(path => Path.GetFileName(path) == "libtorch_cpu.so").Select(Path.GetDirectoryName).FirstOrDefault();
}
