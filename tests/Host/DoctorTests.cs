using Titan.Kernels.Cuda;
using Titan.Training.Data;

namespace Titan.Host.Tests;

public sealed class DoctorTests
{
    [Fact]
    public void Every_CUDA_source_is_marked_as_not_yet_run_by_a_GPU_by_the_command_and_in_the_documentation()
    {
        var (_, output) = TitanProcess.Run(["doctor"]);
        var line = Assert.Single(output.Split('\n'), l => l.Contains(" kernels ", StringComparison.Ordinal));
        Assert.EndsWith($"no GPU has run any of them yet: {string.Join(", ", CudaSources.Names)}", line, StringComparison.Ordinal);
        var page = File.ReadAllText(Path.Combine(Path.GetDirectoryName(SampleAssets.Root)!, "docs", "cuda.md"));
        Assert.Contains("**No GPU has run any of this yet.**", page, StringComparison.Ordinal);
        var table = page.Split('\n').Where(l => l.StartsWith("| ", StringComparison.Ordinal)).SelectMany(l => l.Split('|')[1].Split(',', StringSplitOptions.TrimEntries)).ToList();
        Assert.All(CudaSources.Names, name => Assert.Contains(name, table));
    }
}
