using Titan.Abstractions;

namespace Titan.Kernels.Tests;

public sealed class LibTorchTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("titan-libtorch").FullName;

    public void Dispose() => Directory.Delete(folder, true);

    [Fact]
    public void A_folder_without_a_libtorch_is_refused_with_what_belongs_there()
    {
        var e = Assert.Throws<TitanException>(() => LibTorch.Load(folder, folder));
        Assert.Equal(ExitCode.Hardware, e.Code);
        Assert.Contains("torch/lib", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_libtorch_that_does_not_load_is_named()
    {
        var libraries = Directory.CreateDirectory(Path.Combine(folder, "lib")).FullName;
        foreach (var name in new[] { "libtorch_cpu.so", "libtorch.so" }) File.WriteAllText(Path.Combine(libraries, name), "not a library");
        var e = Assert.Throws<TitanException>(() => LibTorch.Load(libraries, folder));
        Assert.Contains("does not load", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_build_with_its_own_libtorch_does_not_load_a_second()
    {
        File.WriteAllText(Path.Combine(folder, "libtorch_cpu.so"), "");
        Assert.Contains("TorchBackend=none", Assert.Throws<TitanException>(() => LibTorch.Load(folder, folder)).Message, StringComparison.Ordinal);
    }
}
