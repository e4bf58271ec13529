using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using Titan.Abstractions;
using Titan.Host.Jobs;
using Titan.Host.Planning;
using Titan.Host.Plugins;
using Titan.Kernels;
using Titan.Kernels.Cuda;
using static TorchSharp.torch;

namespace Titan.Host.Commands;

/// <summary><c>titan doctor</c>: what this machine offers, one line each, with the remedy where something is missing.</summary>
internal static class DoctorCommand
{
    public static int Run(PluginOptions options)
    {
        var ok = true;
        Line(true, ".NET", RuntimeInformation.FrameworkDescription + " on " + RuntimeInformation.OSDescription);
        var libtorch = LibTorch.Missing ?? LoadLibTorch();
        Line(libtorch is null, "libtorch", libtorch ?? $"loads; {get_num_threads()} threads");
        Line(true, "libstdc++", SystemHasSymbolVersion() switch
        {
            true => "has GLIBCXX_3.4.32",
            false => "is older than GCC 13's; the build's private copy of libLibTorchSharp.so does without GLIBCXX_3.4.32",
            null => "was not found by name; TorchSharp brings what it needs",
        });
        Line(Avx2.IsSupported || RuntimeInformation.ProcessArchitecture == System.Runtime.InteropServices.Architecture.Arm64, "CPU",
            $"{Environment.ProcessorCount} cores{(Avx512F.IsSupported ? ", AVX-512" : Avx2.IsSupported ? ", AVX2" : "; without AVX2 float8 casts are slow")}");
        var memory = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        Line(true, "memory", $"{memory / (double)(1L << 30):F1} GiB");
        Line(true, "CUDA", Cuda(libtorch is null));
        Line(true, "kernels", $"{CudaSources.Names.Count} CUDA sources, tested by an emulation on the CPU: {string.Join(", ", CudaSources.Names)}");
        foreach (var machine in HardwareRun.All.GroupBy(r => (r.Hardware, r.Software, r.Date)))
            Line(true, "GPU runs", $"{machine.Key.Hardware}, {machine.Key.Software}, {machine.Key.Date:yyyy-MM-dd}: {string.Join("; ", machine.Select(r => r.What))} (docs/cuda.md has the results)");
        Line(true, "MPI", OnPath("mpirun") is { } mpirun ? $"{mpirun}; NGPU=2 ./run_train.sh trains on two ranks" : "mpirun is not on PATH; not needed for one rank");
        var drive = new DriveInfo(Environment.CurrentDirectory);
        Line(drive.AvailableFreeSpace > 1L << 30, "disk", $"{drive.AvailableFreeSpace / (double)(1L << 30):F1} GiB free here{(drive.AvailableFreeSpace > 1L << 30 ? "" : "; checkpoints need room")}");
        foreach (var record in PluginCatalog.Load(options).Records)
            Line(record.Status == PluginStatus.Active, "plugin", $"{record.Id} {record.Version} {record.Status}{(record.Status == PluginStatus.Active ? "" : $": {record.Reason}; {record.NextStep}")}");
        return ok ? 0 : (int)ExitCode.Hardware;

        void Line(bool good, string what, string text)
        {
            ok &= good;
            Console.WriteLine($"{(good ? "ok  " : "FAIL")}  {what,-10} {text}");
        }
    }

    private static string Cuda(bool hasLibTorch)
    {
        if (!File.Exists("/proc/driver/nvidia/version")) return "no driver; training runs on the CPU";
        if (!hasLibTorch || CudaDevices.Count == 0) return "a driver is there, but this libtorch is the CPU's; build with -p:TorchBackend=cuda, or set TITAN_LIBTORCH, to train on the GPU";
        return string.Join("; ", Enumerable.Range(0, CudaDevices.Count).Select(i => Gpu(CudaDevices.Name(i), CudaDevices.Capability(i))));
    }

    /// <summary>A GPU, and whether one of its model has run this program before.</summary>
    internal static string Gpu(string name, DeviceCapability capability) =>
        $"{name} ({capability}): {(HardwareRun.All.Any(r => r.Gpu == name) ? "this model has run the program, see GPU runs" : "no run on this model is recorded, so compare losses with TITAN_DEVICE=cpu first")}";

    private static string? LoadLibTorch()
    {
        try
        {
            using var probe = zeros(1);
            return null;
        }
        catch (Exception e) when (e is TypeInitializationException or DllNotFoundException or NotSupportedException or BadImageFormatException)
        {
            return $"does not load ({(e.InnerException ?? e).Message.Split('\n')[0]}); remove artifacts/ and build again with ./titan doctor";
        }
    }

    private static bool? SystemHasSymbolVersion()
    {
        string[] folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/lib64", "/usr/lib"];
        var library = folders.Select(f => Path.Combine(f, "libstdc++.so.6")).FirstOrDefault(File.Exists);
        return library is null ? null : File.ReadAllBytes(library).AsSpan().IndexOf("GLIBCXX_3.4.32"u8) >= 0;
    }

    private static string? OnPath(string program) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Select(p => Path.Combine(p, program)).FirstOrDefault(File.Exists);
}
