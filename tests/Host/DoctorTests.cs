using System.Text.RegularExpressions;
using Titan.Abstractions;
using Titan.Host.Commands;
using Titan.Host.Jobs;
using Titan.Host.Planning;
using Titan.Kernels.Cuda;
using Titan.Training.Data;

namespace Titan.Host.Tests;

public sealed partial class DoctorTests
{
    private static readonly string Root = Path.GetDirectoryName(SampleAssets.Root)!;

    [Fact]
    public void What_hardware_has_run_is_what_the_table_of_the_documentation_says()
    {
        using var page = new StreamReader(Path.Combine(Root, "docs", "cuda.md"));
        var runs = HardwareRun.Read(page);
        Assert.Equal(runs, HardwareRun.All);
        var (_, output) = TitanProcess.Run(["doctor"]);
        var lines = output.Split('\n').Where(l => l.StartsWith("ok    GPU runs ", StringComparison.Ordinal)).ToList();
        Assert.Equal(runs.DistinctBy(r => (r.Hardware, r.Software, r.Date)).Count(), lines.Count);
        Assert.All(runs, r => Assert.Contains(lines, l => l.Contains($"{r.Hardware}, {r.Software}, {r.Date:yyyy-MM-dd}: ", StringComparison.Ordinal) && l.Contains(r.What, StringComparison.Ordinal)));
    }

    [Fact]
    public void Every_CUDA_source_is_listed_by_the_command_and_in_the_documentation()
    {
        var (_, output) = TitanProcess.Run(["doctor"]);
        var line = Assert.Single(output.Split('\n'), l => l.StartsWith("ok    kernels ", StringComparison.Ordinal));
        Assert.EndsWith($": {string.Join(", ", CudaSources.Names)}", line, StringComparison.Ordinal);
        var table = File.ReadLines(Path.Combine(Root, "docs", "cuda.md")).Where(l => l.StartsWith("| ", StringComparison.Ordinal)).SelectMany(l => l.Split('|')[1].Split(',', StringSplitOptions.TrimEntries)).ToList();
        Assert.All(CudaSources.Names, name => Assert.Contains(name, table));
    }

    [Fact]
    public void No_other_place_says_what_GPUs_have_run()
    {
        var files = new[] { "docs", "src", "eng", "native", "plugins", "configs" }.SelectMany(f => Directory.EnumerateFiles(Path.Combine(Root, f), "*", SearchOption.AllDirectories))
            .Where(f => Path.GetExtension(f) is ".md" or ".cs" or ".sh" or ".py" or ".cu" or ".cuh" or ".cpp" or ".h" or ".toml")
            .Append(Path.Combine(Root, "README.md")).Append(Path.Combine(Root, "tests", "CATALOGUE.md"));
        Assert.Empty(files.Where(f => Claims().IsMatch(File.ReadAllText(f))).Select(f => Path.GetRelativePath(Root, f)));
    }

    [Fact]
    public void A_GPU_whose_model_has_run_nothing_is_told_to_compare_with_the_CPU_first()
    {
        Assert.Equal("NVIDIA Z9 (SM120): no run on this model is recorded, so compare losses with TITAN_DEVICE=cpu first", DoctorCommand.Gpu("NVIDIA Z9", new DeviceCapability(true, 12, 0)));
        Assert.Contains("this model has run the program", DoctorCommand.Gpu(HardwareRun.All[0].Gpu, new DeviceCapability(true, 9, 0)), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("| a | b |", "no table")]
    [InlineData("| what | hardware | software | date | result |\n|---|---|---|---|---|\n", "has no row")]
    [InlineData("| what | hardware | software | date | result |\n|---|---|---|---|---|\n| w | h | s | 2026-11-26 |\n", "five cells")]
    [InlineData("| what | hardware | software | date | result |\n|---|---|---|---|---|\n| w | h |  | 2026-11-26 | r |\n", "none of them empty")]
    [InlineData("| what | hardware | software | date | result |\n|---|---|---|---|---|\n| w | h | s | yesterday | r |\n", "expected a date")]
    public void A_table_that_is_not_whole_is_refused(string page, string says) =>
        Assert.Contains(says, Assert.Throws<FormatException>(() => HardwareRun.Read(new StringReader(page))).Message, StringComparison.Ordinal);

    [GeneratedRegex(@"\b[Nn]o\s+(///\s+|#\s+)?GPU\s+has\s+(ever\s+)?(run|been|seen)", RegexOptions.Singleline)]
    private static partial Regex Claims();
}
