using Titan.Abstractions;
using Titan.Quantization.Conversion;

namespace Titan.Quantization.Tests.Conversion;

public class ReportTextTests
{
    private static LayerConversion Layer(string fqn, string? skippedBy = null) =>
        new(fqn, new LinearShape(256, 512), skippedBy is null ? "float8/tensorwise" : null, skippedBy, skippedBy is null ? "decode + bf16 (fused)" : "high precision");

    [Fact]
    public void LayersThatDifferInTheirBlockAloneShareALine()
    {
        var report = new ConversionReport("quantize.linear.float8", "float8/tensorwise: i", ExportStatus.Alpha,
            [.. Enumerable.Range(0, 32).Select(i => Layer($"layers.{i}.attention.wq")), Layer("output", "filter_fqns \"output\"")], ["a flag has no effect"]);
        var lines = ReportText.Render(report).Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => l.TrimEnd()).ToArray();
        Assert.Equal(4, lines.Length);
        Assert.Contains("converted 32 of 33 linears, skipped 1", lines[0]);
        Assert.EndsWith("(alpha)", lines[0]);
        Assert.Matches(@"^  layers\.\*\.attention\.wq \(32\) +256 x 512 +float8/tensorwise +decode \+ bf16 \(fused\)$", lines[1]);
        Assert.Matches("^  output +256 x 512 +skipped +filter_fqns \"output\"$", lines[2]);
        Assert.Equal("  note: a flag has no effect", lines[3]);
    }

    [Fact]
    public void AnEmptyReportIsOneLine() =>
        Assert.Single(ReportText.Render(new ConversionReport("x", "y", ExportStatus.Stable, [], [])).Split('\n', StringSplitOptions.RemoveEmptyEntries));
}
