using Titan.Training.Optimization;

namespace Titan.Training.Tests.Optimization;

public sealed class LrScheduleTests
{
    /// <summary>Upstream's table.</summary>
    [Theory]
    [InlineData(10, 2, null, 0, new[] { .5, 1, 1, 7 / 8.0, 6 / 8.0, 5 / 8.0, 4 / 8.0, 3 / 8.0, 2 / 8.0, 1 / 8.0 })]
    [InlineData(10, 2, 0.5, 0, new[] { .5, 1, 1, 1, 1, 1, .8, .6, .4, .2 })]
    [InlineData(5, 10, null, 0, new[] { .2, .4, .6, .8, 1 })]
    [InlineData(10, 2, 0.0, 0, new[] { .5, 1.0, 1, 1, 1, 1, 1, 1, 1, 1 })]
    [InlineData(10, 5, 0.8, 0, new[] { .2, .4, .6, .8, 1, 1, .8, .6, .4, .2 })]
    public void Factors_are_upstreams(int total, int warmup, double? ratio, double minimum, double[] expected)
    {
        var schedule = new LrSchedule(total, warmup, ratio, "linear", minimum, _ => { });
        for (var i = 0; i < total; i++) Assert.Equal(expected[i], schedule.Factor(i), 9);
    }

    [Fact]
    public void The_minimum_is_where_the_decay_ends_and_shapes_agree_at_both_ends()
    {
        foreach (var type in new[] { "linear", "sqrt", "cosine" })
        {
            var schedule = new LrSchedule(100, 10, null, type, 0.2, _ => { });
            Assert.Equal(1, schedule.Factor(10), 9);
            Assert.InRange(schedule.Factor(99), 0.2, 0.22);
        }
    }

    [Fact]
    public void Parts_that_do_not_fit_are_cut_with_a_warning()
    {
        var warnings = new List<string>();
        _ = new LrSchedule(5, 10, 0.5, "linear", 0, warnings.Add);
        Assert.Equal(2, warnings.Count);
    }
}
