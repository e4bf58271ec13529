using System.Globalization;
using Titan.Quantization.Roofline;

namespace Titan.Quantization.Tests.Roofline;

public sealed class StepTrafficTests
{
    /// <summary>Four blocks of Llama 3 8B's shapes.</summary>
    private static readonly StepSizes Sizes = new(8192, 4, 4096, 1024, 14336, 128256);

    [Fact]
    public void Kernels_that_do_more_on_their_way_move_at_most_six_tenths_of_the_bytes()
    {
        var rows = StepTraffic.Tensorwise(Sizes);
        Assert.All(rows, r => Assert.True(r.Together <= r.Apart, r.Name));
        Assert.InRange(rows.Sum(r => r.Together) / (double)rows.Sum(r => r.Apart), 0.2, 0.6);
    }

    [Fact]
    public void The_account_of_separate_passes_is_what_was_measured()
    {
        // Milliseconds on an H100 at 2.8 TB/s, the rows that a profile showed by name (docs/cuda.md): zeroing 2.8, adding 7.0, logits' copy, factor and cross-entropy 8.4,
        // SwiGLU 3.0, weights' casts 6.3.
        var rows = StepTraffic.Tensorwise(Sizes).ToDictionary(r => r.Name, r => r.Apart / 2.8e9);
        foreach (var (name, measured) in new[]
        {
            ("gradients: zeroed", 2.8), ("gradients: added to what was zeroed", 7.0), ("SwiGLU, both ways", 3.0), ("weights: amax and casts for two uses", 6.3),
        })
            Assert.InRange(rows[name] / measured, 0.7, 1.3);
    }

    [Fact]
    public void The_documentation_has_the_account()
    {
        var page = File.ReadAllText(Path.Combine(Root, "docs", "cuda.md"));
        var rows = StepTraffic.Tensorwise(Sizes);
        foreach (var row in rows) Assert.Contains($"| {row.Name} | {Gigabytes(row.Apart)} | {Gigabytes(row.Together)} |", page, StringComparison.Ordinal);
        Assert.Contains($"| all | {Gigabytes(rows.Sum(r => r.Apart))} | {Gigabytes(rows.Sum(r => r.Together))} |", page, StringComparison.Ordinal);
    }

    private static string Root { get; } = AppContext.BaseDirectory[..AppContext.BaseDirectory.IndexOf($"{Path.DirectorySeparatorChar}artifacts{Path.DirectorySeparatorChar}", StringComparison.Ordinal)];

    private static string Gigabytes(long bytes) => (bytes / 1e9).ToString("F1", CultureInfo.InvariantCulture);
}
