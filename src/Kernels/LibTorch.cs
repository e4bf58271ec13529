using System.Runtime.InteropServices;
using Titan.Abstractions;
using TorchSharp;

namespace Titan.Kernels;

/// <summary>Which libtorch this process uses, and how it waits and allocates. Call <see cref="Prepare"/> before anything else touches TorchSharp.</summary>
public static class LibTorch
{
    /// <summary>The environment variable that names the folder of an existing libtorch, for example a PyTorch's <c>torch/lib</c>.</summary>
    public static string FolderVariable => ProgramVariables.LibTorch.Name;

    /// <summary>Sets up threads and memory, and loads the libtorch of <see cref="FolderVariable"/> where it is set.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Hardware"/> when that folder holds no libtorch, or the build brings its own.</exception>
    public static void Prepare()
    {
        OpenMp.Tune();
        Allocator.Tune();
        if (ProgramVariables.LibTorch.Value is { } folder) Load(folder, AppContext.BaseDirectory);
    }

    /// <summary>What to do where the build brings no libtorch and none is named; null where there is one.</summary>
    public static string? Missing =>
        !OperatingSystem.IsLinux() || File.Exists(Path.Combine(AppContext.BaseDirectory, "libtorch_cpu.so")) || ProgramVariables.LibTorch.Value is not null
            ? null
            : $"this build brings no libtorch (-p:TorchBackend=none); set {FolderVariable} to the folder of one, for example a PyTorch's torch/lib";

    internal static void Load(string folder, string program)
    {
        string At(string name) => Path.Combine(folder, name);
        if (File.Exists(Path.Combine(program, "libtorch_cpu.so")))
            throw new TitanException(ExitCode.Hardware, $"{FolderVariable} is set, but this build brings its own libtorch, and two in one process do not work; build with -p:TorchBackend=none, or unset {FolderVariable}");
        if (!File.Exists(At("libtorch_cpu.so")) || !File.Exists(At("libtorch.so")))
            throw new TitanException(ExitCode.Hardware, $"{FolderVariable} = '{folder}': there is no libtorch_cpu.so and libtorch.so; expected a PyTorch's torch/lib or the lib folder of a libtorch");
        try
        {
            // The loader takes what is loaded already for every later request of the same name. CUDA's part must come before the first call: libtorch looks for it once.
            var hasCuda = File.Exists(At("libtorch_cuda.so"));
            NativeLibrary.Load(At("libtorch_cpu.so"));
            if (hasCuda) NativeLibrary.Load(At("libtorch_cuda.so"));
            NativeLibrary.Load(At("libtorch.so"));
            if (hasCuda) torch.InitializeDeviceType(DeviceType.CUDA);
        }
        catch (Exception e) when (e is DllNotFoundException or BadImageFormatException or TypeInitializationException or NotSupportedException)
        {
            throw new TitanException(ExitCode.Hardware, $"{FolderVariable} = '{folder}': its libtorch does not load: {(e.InnerException ?? e).Message.ReplaceLineEndings(" ")}", e);
        }
    }
}
