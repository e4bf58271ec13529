using Titan.Abstractions;
using Titan.Plugins.Float8Rowwise;
using Titan.Plugins.Float8Tensorwise;
using Titan.Quantization.Conversion;

namespace Titan.Quantization.Tests.Conversion;

public class LayerFilterTests
{
    private static LayerFilter Filter(params string[] entries) => new(entries, new TensorwiseRecipe(), 16);

    [Theory]
    [InlineData(8192, 2048, true)]
    [InlineData(4096, 1024, false)]
    [InlineData(4096, 1040, true)]
    [InlineData(4112, 1024, true)]
    [InlineData(1024, 1024, false)]
    [InlineData(1024, 4096, true)]
    public void TheSizeRuleSkipsWhereBothSidesAreSmall(long k, long n, bool converted)
    {
        var rule = Filter(LayerFilter.AutoFilter).SkippedBy("layers.0.attention.wk", new LinearShape(k, n));
        Assert.Equal(converted ? null : "auto_filter_small_kn: K <= 4096 and N <= 1024", rule);
        Assert.Null(Filter().SkippedBy("layers.0.attention.wk", new LinearShape(k, n)));
    }

    [Theory]
    [InlineData(4096, 8192, null)]
    [InlineData(4096, 2048, "N <= 2048")]
    [InlineData(1024, 4112, "K <= 1024")]
    [InlineData(2048, 4096, "N <= 4096 and K <= 2048")]
    [InlineData(2064, 4096, null)]
    public void TheSizeRuleOfRowwiseIsUpstreams(long k, long n, string? rule) => Assert.Equal(
        rule is null ? null : $"auto_filter_small_kn: {rule}", new LayerFilter([LayerFilter.AutoFilter], new RowwiseRecipe(), 16).SkippedBy("layers.0.attention.wk", new LinearShape(k, n)));

    [Theory]
    [InlineData("embedding_layer", "embed")]
    [InlineData("layers.0.norm_proj", "norm")]
    [InlineData("layers.0.attention.wq", null)]
    [InlineData("Embed", null)]
    public void AnEntryMatchesAnyPartOfAName(string fqn, string? entry) =>
        Assert.Equal(entry is null ? null : $"filter_fqns \"{entry}\"", Filter("embed", "norm").SkippedBy(fqn, new LinearShape(8192, 2048)));

    [Theory]
    [InlineData(41, 128), InlineData(128, 41), InlineData(8, 8)]
    public void SidesMustBeMultiples(long k, long n) =>
        Assert.Equal("K and N must be multiples of 16", Filter().SkippedBy("wq", new LinearShape(k, n)));

    [Fact]
    public void NamesComeBeforeMultiplesAndMultiplesBeforeTheSizeRule()
    {
        Assert.StartsWith("filter_fqns", Filter("wq", LayerFilter.AutoFilter).SkippedBy("wq", new LinearShape(41, 8)));
        Assert.StartsWith("K and N", Filter(LayerFilter.AutoFilter).SkippedBy("wk", new LinearShape(41, 8)));
    }

    [Fact]
    public void AnEntryThatMatchesNothingIsAnErrorThatListsTheNames()
    {
        var filter = Filter("outptu", "wq", LayerFilter.AutoFilter);
        string[] fqns = ["layers.0.attention.wq", "output"];
        foreach (var fqn in fqns) filter.SkippedBy(fqn, new LinearShape(4096, 4096));
        var e = Assert.Throws<TitanException>(() => filter.ThrowIfUnused(fqns));
        Assert.Equal(ExitCode.Usage, e.Code);
        Assert.Contains("'outptu' matches no layer", e.Message);
        Assert.Contains("layers, attention, wq, output", e.Message);
    }

    [Fact]
    public void AnEntryCountsAsUsedEvenWhereAnotherMatchedFirst()
    {
        var filter = Filter("attention", "wq");
        filter.SkippedBy("layers.0.attention.wq", new LinearShape(4096, 4096));
        filter.ThrowIfUnused(["layers.0.attention.wq"]);
    }

    [Theory]
    [InlineData(""), InlineData("  ")]
    public void AnEmptyEntryWouldMatchEverythingAndIsRefused(string entry)
    {
        var e = Assert.Throws<TitanException>(() => Filter("wq", entry));
        Assert.Equal(ExitCode.Usage, e.Code);
        Assert.Contains("empty", e.Message);
    }
}
