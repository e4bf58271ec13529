using Titan.Abstractions;
using Titan.Kernels.Cuda;

namespace Titan.Kernels.Tests.Cuda;

/// <summary>A test that needs libnvrtc: skipped, with the places that were searched, on a machine without. It needs no GPU.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class FactWithNvrtcAttribute : FactAttribute
{
    public FactWithNvrtcAttribute()
    {
        try
        {
            _ = NvrtcCompiler.Load();
        }
        catch (TitanException e)
        {
            Skip = e.Message;
        }
    }
}

public sealed class NvrtcTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("titan-nvrtc-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [FactWithNvrtc]
    public void Every_source_compiles_to_a_binary_for_every_architecture_with_float8()
    {
        var compiler = NvrtcCompiler.Load();
        string[] architectures = [.. new[] { "sm_89", "sm_90", "sm_90a", "sm_100" }.Where(a => compiler.Architectures.Contains(int.Parse(a[3..].TrimEnd('a'))))];
        Assert.NotEmpty(architectures);
        foreach (var name in CudaSources.Names)
            foreach (var architecture in architectures)
            {
                var image = compiler.Compile(name, CudaSources.Text(name), CudaSources.Headers, architecture);
                Assert.Equal("\x7f" + "ELF", System.Text.Encoding.Latin1.GetString(image, 0, 4));
            }
    }

    [FactWithNvrtc]
    public void An_error_in_a_source_comes_back_with_file_and_line()
    {
        var compiler = NvrtcCompiler.Load();
        var error = Assert.Throws<TitanException>(() => compiler.Compile("broken.cu", "#include \"types.cuh\"\nKERNEL k() { nonsense }", CudaSources.Headers, "compute_80"));
        Assert.Contains("broken.cu(2)", error.Message);
    }

    [Fact]
    public void Nvrtc_is_searched_beside_the_program_then_in_TITAN_LIBTORCH_then_in_a_pip_install()
    {
        var lib = Path.Combine(folder, "site-packages", "torch", "lib");
        var folders = NvrtcLocation.Folders("/program", lib);
        Assert.Equal("/program", folders[0]);
        Assert.Contains(lib, folders);
        Assert.Contains(Path.Combine(folder, "site-packages", "nvidia", "cuda_nvrtc", "lib"), folders);
        Assert.DoesNotContain(NvrtcLocation.Folders("/program", null), f => f.Contains("nvidia", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("libnvrtc.so.12", "libnvrtc.so.12", "libnvrtc-builtins.so.12.4")]
    [InlineData("libnvrtc-0123abcd.so.12", "libnvrtc-0123abcd.so.12", "libnvrtc-builtins.so.12.8")]
    [InlineData("libnvrtc.so.13", "libnvrtc-0123abcd.so.12", "libnvrtc.so.13")]
    [InlineData(null, "libnvrtc-builtins.so.12.4", "libcudart.so.12")]
    public void In_a_folder_nvrtc_is_taken_under_any_of_its_names(string? expected, params string[] files)
    {
        foreach (var file in files) File.WriteAllText(Path.Combine(folder, file), "");
        Assert.Equal(expected is null ? null : Path.Combine(folder, expected), NvrtcLocation.In(folder));
    }

    [Fact]
    public void A_machine_without_nvrtc_is_told_every_place_that_was_searched()
    {
        var error = Assert.Throws<TitanException>(() => NvrtcLocation.Load([folder, "/not/there"], ["libnvrtc-of-nobody.so"]));
        Assert.Equal(ExitCode.Hardware, error.Code);
        foreach (var place in new[] { folder, "/not/there", "libnvrtc-of-nobody.so", "TITAN_LIBTORCH" }) Assert.Contains(place, error.Message);
    }
}
