using Titan.Training.Metrics;

namespace Titan.Training.Tests.Metrics;

public sealed class LeakWatchTests
{
    private readonly List<string> warnings = [];

    [Fact]
    public void Growth_in_every_one_of_fifty_steps_is_told_once_with_its_size()
    {
        var watch = new LeakWatch(warnings.Add);
        for (var step = 0; step <= 3 * LeakWatch.Steps; step++)
        {
            watch.Observe(100 + 3 * step);
            Assert.Equal(step < LeakWatch.Steps ? 0 : 1, warnings.Count);
        }

        Assert.Contains("about 3 a step", warnings[0], StringComparison.Ordinal);
    }

    [Fact]
    public void A_count_that_comes_and_goes_is_no_leak()
    {
        var watch = new LeakWatch(warnings.Add);
        // Up for 49 steps, then back, again and again; and a count that stays.
        for (var step = 0; step < 500; step++) watch.Observe(100 + step % LeakWatch.Steps);
        for (var step = 0; step < 500; step++) watch.Observe(50);
        Assert.Empty(warnings);
    }
}
