using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using System.Text.RegularExpressions;
using Titan.Kernels.Cuda;
using TorchSharp;
using static TorchSharp.torch;

namespace Titan.Quantization.Measurement;

/// <summary>What a measurement was made on.</summary>
/// <param name="Cpu">The CPU's model name.</param>
/// <param name="Cores">Logical cores that this process may use.</param>
/// <param name="Simd">The widest vectors that the kernels use.</param>
/// <param name="Gpu">The model name of the GPU that is used, else of the first that there is; null without any.</param>
/// <param name="AvailableBytes">Memory that is free now.</param>
/// <param name="UsesGpu">Whether what was measured ran on the GPU.</param>
public sealed partial record Hardware(string Cpu, int Cores, string Simd, string? Gpu, long AvailableBytes, bool UsesGpu = false)
{
    /// <summary>This machine, for work on its CPU.</summary>
    public static Hardware Current => new(
        Field("/proc/cpuinfo", "model name") ?? RuntimeInformation.ProcessArchitecture.ToString(), Environment.ProcessorCount, Vectors, FirstGpu,
        Bytes("MemAvailable") ?? GC.GetGCMemoryInfo().TotalAvailableMemoryBytes);

    /// <summary>Memory that this process could ever have: the machine's with its swap, or what its container allows.</summary>
    public long TotalBytes
    {
        get
        {
            var allowed = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
            if (Bytes("MemTotal") is not { } machine) return allowed;
            // In a container .NET calls three quarters of the limit its own.
            return allowed < machine / 100 * 99 ? allowed / 3 * 4 : machine + (Bytes("SwapTotal") ?? 0);
        }
    }

    /// <summary>This machine, for work on a device.</summary>
    /// <param name="device">What the work really runs on.</param>
    public static Hardware On(Device device) => device.type == DeviceType.CUDA ? Current with { Gpu = CudaDevices.Name(Math.Max(device.index, 0)), UsesGpu = true } : Current;

    /// <summary>The CPU, for keys and heads of tables.</summary>
    public string Device => $"{Cpu}, {Cores} cores, {Simd}";

    /// <summary>The device that was measured, for keys of caches.</summary>
    public string Measured => UsesGpu ? Gpu! : Device;

    /// <summary>For file names: the device that was measured.</summary>
    public string ShortName => UsesGpu ? Slug(Gpu!) : $"{Slug(Cpu)}-{Cores}c";

    /// <summary>Lower-case letters, digits and dashes.</summary>
    public static string Slug(string text) => Others().Replace(text.ToLowerInvariant().Replace("(r)", "").Replace("(tm)", ""), "-").Trim('-');

    /// <summary>For the head of a table.</summary>
    public override string ToString() => $"{Device}, {get_num_threads()} libtorch threads, {AvailableBytes / (double)(1L << 30):F1} GiB free; GPU: {(Gpu is null ? "none" : $"{Gpu} ({(UsesGpu ? "used" : "not used")})")}";

    private static string Vectors => Vector512.IsHardwareAccelerated ? $"512-bit SIMD{(Avx512BW.IsSupported ? " (AVX-512)" : "")}"
        : Vector256.IsHardwareAccelerated ? "256-bit SIMD (AVX2)" : "128-bit SIMD";

    private static string? FirstGpu
    {
        get
        {
            const string folder = "/proc/driver/nvidia/gpus";
            return Directory.Exists(folder) ? Directory.EnumerateDirectories(folder).Select(d => Field(Path.Combine(d, "information"), "Model")).FirstOrDefault(m => m is not null) : null;
        }
    }

    private static long? Bytes(string name) => Field("/proc/meminfo", name) is { } kib && long.TryParse(kib.Split(' ')[0], out var bytes) ? bytes << 10 : null;

    private static string? Field(string file, string name)
    {
        if (!File.Exists(file)) return null;
        var line = File.ReadLines(file).FirstOrDefault(l => l.StartsWith(name, StringComparison.Ordinal) && l.Contains(':'));
        return line?[(line.IndexOf(':') + 1)..].Trim();
    }

    [GeneratedRegex("[^a-z0-9.]+")]
    private static partial Regex Others();
}
