using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;

namespace Titan.Kernels.Tests.Cuda;

/// <summary>
/// Builds the CUDA sources for the CPU with g++: as a library, as a library behind a stand-in for the CUDA driver, and as a child process under the address sanitizer.
/// What is unchanged since the last run is not built again.
/// </summary>
public sealed class NativeBuild : IDisposable
{
    private const string Flags = "-std=c++17 -Wall -Wextra -Werror -ffp-contract=off -fno-strict-aliasing -DTITAN_EMULATION -I..";

    private readonly Lazy<EmulatedLauncher> emulated;
    private readonly Lazy<SanitizedLauncher> sanitized;

    public NativeBuild()
    {
        emulated = new Lazy<EmulatedLauncher>(() => new EmulatedLauncher(Build("library.cpp", "libemulation.so", "-O2 -shared -fPIC")));
        sanitized = new Lazy<SanitizedLauncher>(() => new SanitizedLauncher(
            Build("child.cpp", "emulation_sanitized", "-O1 -g1 -fsanitize=address,alignment,bounds,shift,signed-integer-overflow -fno-sanitize-recover=all")));
    }

    /// <summary>A launcher by name: forward, reverse or random thread order in this process, or sanitized in a child.</summary>
    internal Titan.Kernels.Cuda.IKernelLauncher Launcher(string name) =>
        name == "sanitized" ? sanitized.Value : emulated.Value.In(Enum.Parse<ThreadOrder>(name, ignoreCase: true));

    /// <summary>The stand-in for libcuda.</summary>
    internal static string Driver() => Build("driver.cpp", "libdriver.so", "-O1 -shared -fPIC");

    /// <summary>Compiles one file of native/emulation.</summary>
    /// <returns>The path of the result.</returns>
    internal static string Build(string source, string result, string flags, string? native = null)
    {
        native ??= Path.Combine(AppContext.BaseDirectory, "native");
        var folder = Directory.CreateDirectory(Path.Combine(AppContext.BaseDirectory, "native-build", Hash(native, flags))).FullName;
        var path = Path.Combine(folder, result);
        if (File.Exists(path)) return path;
        var partial = $"{path}.{Environment.ProcessId}";
        var (code, output) = Compile($"{Flags} {flags} {source} -o {partial}", Path.Combine(native, "emulation"));
        Assert.True(code == 0, $"g++ could not compile native/emulation/{source}:\n{output}");
        File.Move(partial, path, overwrite: true);
        return path;
    }

    private static (int Code, string Output) Compile(string arguments, string folder)
    {
        using var process = Process.Start(new ProcessStartInfo("g++", arguments) { WorkingDirectory = folder, RedirectStandardError = true })!;
        var output = process.StandardError.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output);
    }

    private static string Hash(string native, string flags)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Encoding.UTF8.GetBytes(Flags + flags));
        foreach (var file in Directory.EnumerateFiles(native, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal))
        {
            hash.AppendData(Encoding.UTF8.GetBytes(Path.GetRelativePath(native, file)));
            hash.AppendData(File.ReadAllBytes(file));
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset())[..16];
    }

    public void Dispose()
    {
        if (sanitized.IsValueCreated) sanitized.Value.Dispose();
    }
}

[CollectionDefinition(Name)]
public sealed class NativeCollection : ICollectionFixture<NativeBuild>
{
    public const string Name = "kernels of native/, on the CPU";

    /// <summary>Every way of running them.</summary>
    public static TheoryData<string> Launchers { get; } = ["forward", "reverse", "random", "sanitized"];
}
