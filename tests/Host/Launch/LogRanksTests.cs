using Titan.Abstractions;
using Titan.Host.Commands;

namespace Titan.Host.Tests.Launch;

public sealed class LogRanksTests
{
    [Theory]
    [InlineData(null, 0, 4, true, "")]
    [InlineData(null, 1, 4, false, "")]
    [InlineData("2", 2, 4, true, "")]
    [InlineData("2", 0, 4, false, "")]
    [InlineData("0,3", 3, 4, true, "[rank 3] ")]
    [InlineData("0,3", 1, 4, false, "[rank 1] ")]
    [InlineData("0,9", 0, 4, true, "")]
    [InlineData("all", 1, 4, true, "[rank 1] ")]
    [InlineData("all", 0, 1, true, "")]
    [InlineData("3", 0, 1, true, "")]
    public void A_rank_is_shown_when_it_is_named_and_numbered_when_it_is_not_alone(string? value, int rank, int world, bool shown, string prefix)
    {
        var ranks = LogRanks.Of(value, rank, world);
        Assert.Equal(shown, ranks.IsShown);
        if (shown) Assert.Equal(prefix, ranks.Prefix);
    }

    [Theory]
    [InlineData("first", "is no rank")]
    [InlineData("4,5", "ranks 0 to 3")]
    public void A_value_that_shows_nothing_is_refused(string value, string says)
    {
        var e = Assert.Throws<TitanException>(() => LogRanks.Of(value, 0, 4));
        Assert.Equal(ExitCode.Usage, e.Code);
        Assert.Contains(says, e.Message, StringComparison.Ordinal);
    }
}
