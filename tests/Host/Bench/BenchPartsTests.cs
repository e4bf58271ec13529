using Titan.Abstractions;
using Titan.Benchmarks;
using Titan.Host.Jobs;
using Titan.Quantization.Measurement;

namespace Titan.Host.Tests.Bench;

public sealed class BenchPartsTests
{
    [Theory]
    [InlineData("pow2", 5)]
    [InlineData("pow2_extended", 10)]
    [InlineData("llama", 4)]
    [InlineData("sweep", 512)]
    public void Generators_have_the_shapes_of_torchaos_benchmark(string name, int count) => Assert.Equal(count, LinearShapes.Generators[name]().Count);

    [Theory]
    [InlineData(1024, 3584)]
    [InlineData(1024, 2730)]
    [InlineData(64, 96)]
    [InlineData(8192, 28672)]
    public void The_feed_forward_dimension_is_exactly_what_was_asked_for(int dimension, int feedForward) =>
        Assert.Equal(feedForward, new StepModel(dimension, 1, 2, 1, feedForward, 128, 8, 1).Args.FeedForward);

    [Theory]
    [InlineData("4M", 4 << 20)]
    [InlineData("32k", 32 << 10)]
    [InlineData(" 7 ", 7)]
    public void Units_of_counts_are_binary(string text, long value) => Assert.Equal(value, BenchText.Whole("--n", text, 1, 1 << 30));

    [Theory]
    [InlineData("")]
    [InlineData("-1")]
    [InlineData("1.5")]
    [InlineData("M")]
    [InlineData("9999999999M")]
    public void A_count_that_is_none_is_refused(string text) => Assert.Equal(ExitCode.Usage, Assert.Throws<TitanException>(() => BenchText.Whole("--n", text, 1, 1 << 30)).Code);

    [Fact]
    public void A_table_is_the_same_in_markdown_and_CSV()
    {
        var table = new BenchmarkTable("t", ["a", "b"], [["1,5", "x|y"], ["2", "say \"z\""]]);
        Assert.Equal("| a | b |\n|---|---|\n| 1,5 | x\\|y |\n| 2 | say \"z\" |\n", table.ToMarkdown().ReplaceLineEndings("\n"));
        Assert.Equal("a,b\n\"1,5\",x|y\n2,\"say \"\"z\"\"\"\n", table.ToCsv());
    }

    [Fact]
    public void Hardware_says_whether_the_GPU_was_used_and_names_files_after_what_was_measured()
    {
        var cpu = new Hardware("AMD EPYC(TM) 9", 2, "AVX2", null, 1 << 30);
        Assert.EndsWith("GPU: none", cpu.ToString());
        Assert.EndsWith("GPU: NVIDIA H100 (not used)", (cpu with { Gpu = "NVIDIA H100" }).ToString());
        var gpu = cpu with { Gpu = "NVIDIA H100", UsesGpu = true };
        Assert.EndsWith("GPU: NVIDIA H100 (used)", gpu.ToString());
        Assert.Equal(("amd-epyc-9-2c", "nvidia-h100"), ((cpu with { Gpu = "NVIDIA H100" }).ShortName, gpu.ShortName));
        Assert.False(Hardware.On(TorchSharp.torch.CPU).UsesGpu);
    }

    [Fact]
    public void A_page_replaces_the_earlier_one_of_its_name_when_there_is_something_to_write()
    {
        var folder = Directory.CreateTempSubdirectory("titan-bench").FullName;
        try
        {
            BenchmarkFile Create() => BenchmarkFile.Create(folder, "kernels", new Hardware("AMD EPYC(TM) 9", 2, "AVX2", null, 1 << 30), TimeProvider.System);
            BenchmarkTable Table(string title) => new(title, ["a"], [["1"]]);
            Create().Write("First", "once", [], [Table("one"), Table("two")], []);
            var abandoned = Create();
            abandoned.Abandon();
            Assert.StartsWith("# First", File.ReadAllText(abandoned.Path), StringComparison.Ordinal);
            Assert.Matches("^kernels_amd-epyc-9-2c_[0-9-]{10}\\.md$", Path.GetFileName(abandoned.Path));
            Create().Write("Second", "again", ["acme 1.0"], [Table("one")], []);
            Assert.StartsWith("# Second", File.ReadAllText(abandoned.Path), StringComparison.Ordinal);
            Assert.Contains(", acme 1.0\n", File.ReadAllText(abandoned.Path), StringComparison.Ordinal);
            Assert.Equal([abandoned.Beside(".csv"), abandoned.Path], Directory.EnumerateFiles(folder).Order());
        }
        finally
        {
            Directory.Delete(folder, true);
        }
    }
}
