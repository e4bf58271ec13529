using System.Runtime.InteropServices;
using Titan.Abstractions;

namespace Titan.Kernels.Cuda;

/// <summary>Where libnvrtc lies: beside libtorch, in the folders of a pip install, or wherever the loader finds it.</summary>
internal static class NvrtcLocation
{
    private static readonly string[] LoaderNames = ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"];

    /// <summary>The folders to look into, in order.</summary>
    /// <param name="baseFolder">The program's folder.</param>
    /// <param name="libtorch">TITAN_LIBTORCH, or null.</param>
    public static IReadOnlyList<string> Folders(string baseFolder, string? libtorch)
    {
        List<string> folders = [baseFolder, Path.Combine(baseFolder, "runtimes", "linux-x64", "native")];
        if (libtorch is { Length: > 0 })
        {
            // site-packages/torch/lib and site-packages/nvidia/*/lib; a folder that holds lib/ may be named too.
            var packages = Path.GetFullPath(Path.Combine(libtorch, "..", ".."));
            folders.AddRange([libtorch, Path.Combine(libtorch, "lib")]);
            folders.AddRange(new[] { "cuda_nvrtc", "cu13", "cu12" }.Select(p => Path.Combine(packages, "nvidia", p, "lib")));
        }

        return folders;
    }

    /// <summary>libnvrtc in a folder, under any version, or the name that libtorch's own copy has; null if there is none.</summary>
    public static string? In(string folder)
    {
        if (!Directory.Exists(folder)) return null;
        return Directory.EnumerateFiles(folder, "libnvrtc*.so*").Where(f => !Path.GetFileName(f).Contains("builtins", StringComparison.Ordinal))
            .OrderByDescending(f => Path.GetFileName(f).StartsWith("libnvrtc.so", StringComparison.Ordinal)).ThenBy(f => f, StringComparer.Ordinal).FirstOrDefault();
    }

    /// <summary>Loads the first that there is.</summary>
    /// <exception cref="TitanException">There is none; the message names what was searched.</exception>
    public static nint Load(IReadOnlyList<string> folders, IReadOnlyList<string>? loaderNames = null)
    {
        foreach (var folder in folders)
        {
            if (In(folder) is not { } file) continue;
            // nvrtc opens its builtins by name, which the loader resolves to what is loaded already.
            foreach (var builtins in Directory.EnumerateFiles(folder, "libnvrtc-builtins*.so*")) NativeLibrary.TryLoad(builtins, out _);
            if (NativeLibrary.TryLoad(file, out var handle)) return handle;
        }

        var names = loaderNames ?? LoaderNames;
        foreach (var name in names)
            if (NativeLibrary.TryLoad(name, out var handle)) return handle;
        throw new TitanException(
            ExitCode.Hardware,
            $"libnvrtc, which compiles the CUDA kernels, was not found: searched {string.Join(", ", folders)} and the loader's path for {string.Join(", ", names)}; "
            + "set TITAN_LIBTORCH to a PyTorch's torch/lib, or install the CUDA toolkit's nvrtc");
    }
}
