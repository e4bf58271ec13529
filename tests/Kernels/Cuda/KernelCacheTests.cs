using System.Text;
using Titan.Abstractions;
using Titan.Kernels.Cuda;

namespace Titan.Kernels.Tests.Cuda;

public sealed class KernelCacheTests : IDisposable
{
    private static readonly (string, string)[] Headers = [("a.cuh", "text of a")];

    private readonly string folder = Path.Combine(Directory.CreateTempSubdirectory("titan-cache-").FullName, "kernels");
    private readonly FakeCompiler compiler = new();

    public void Dispose() => Directory.Delete(Path.GetDirectoryName(folder)!, recursive: true);

    [Fact]
    public void A_source_is_compiled_once_and_later_read_from_disk()
    {
        var first = Image();
        Assert.Equal("image 1 of k.cu for sm_90", first);
        Assert.Equal(first, Image());
        Assert.Single(compiler.Compiled);
        Assert.Single(Directory.GetFiles(folder));
    }

    [Fact]
    public void Another_source_header_architecture_option_or_compiler_is_compiled_anew()
    {
        Image();
        Image(source: "other");
        Image(architecture: "sm_89");
        new KernelCache(compiler, folder).Image("k", "source", [("a.cuh", "other")], "sm_90");
        new KernelCache(compiler, folder).Image("k", "source", [("b.cuh", "text of a")], "sm_90");
        compiler.Options = ["-slow"];
        Image();
        compiler.Version = "fake 2";
        Image();
        Assert.Equal(7, compiler.Compiled.Count);
    }

    [Theory]
    [InlineData("empty"), InlineData("cut"), InlineData("flipped"), InlineData("foreign")]
    public void A_damaged_entry_is_compiled_again_and_replaced(string damage)
    {
        Image();
        var file = Directory.GetFiles(folder).Single();
        var bytes = File.ReadAllBytes(file);
        switch (damage)
        {
            case "empty": bytes = []; break;
            case "cut": bytes = bytes[..^1]; break;
            case "flipped": bytes[^3] ^= 1; break;
            case "foreign": bytes = Encoding.ASCII.GetBytes(new string('x', 200)); break;
        }

        File.WriteAllBytes(file, bytes);
        Assert.StartsWith("image 2", Image());
        Assert.StartsWith("image 2", Image());
        Assert.Equal(2, compiler.Compiled.Count);
        Assert.Single(Directory.GetFiles(folder));
    }

    [Fact]
    public void A_folder_that_cannot_be_made_costs_a_compilation_and_nothing_else()
    {
        File.WriteAllText(folder, "a file where the folder should be");
        Assert.StartsWith("image 1", Image());
        Assert.StartsWith("image 2", Image());
    }

    [Fact]
    public void Many_writers_at_once_leave_one_whole_entry()
    {
        Parallel.For(0, 16, i => new KernelCache(new FakeCompiler(), folder).Image("k", "source", Headers, "sm_90"));
        Assert.Single(Directory.GetFiles(folder));
        Image();
        Assert.Empty(compiler.Compiled);
    }

    [Fact]
    public void The_default_folder_follows_XDG_CACHE_HOME_when_that_is_absolute()
    {
        var before = Environment.GetEnvironmentVariable("XDG_CACHE_HOME");
        try
        {
            Environment.SetEnvironmentVariable("XDG_CACHE_HOME", "/somewhere");
            Assert.Equal("/somewhere/titan/kernels", KernelCache.DefaultFolder);
            Environment.SetEnvironmentVariable("XDG_CACHE_HOME", "relative");
            Assert.EndsWith("/.cache/titan/kernels", KernelCache.DefaultFolder);
            Assert.DoesNotContain("relative", KernelCache.DefaultFolder);
        }
        finally
        {
            Environment.SetEnvironmentVariable("XDG_CACHE_HOME", before);
        }
    }

    [Theory]
    [InlineData(90, "sm_90"), InlineData(89, "compute_80"), InlineData(100, "compute_90")]
    public void A_device_gets_its_own_binary_or_the_newest_older_ptx(int device, string expected) => Assert.Equal(expected, Architecture.Choose(device, compiler.Architectures));

    [Fact]
    public void A_device_older_than_all_that_the_compiler_knows_is_an_error() =>
        Assert.Contains("7.0", Assert.Throws<TitanException>(() => Architecture.Choose(70, compiler.Architectures)).Message);

    private string Image(string source = "source", string architecture = "sm_90") =>
        Encoding.ASCII.GetString(new KernelCache(compiler, folder).Image("k", source, Headers, architecture));
}
