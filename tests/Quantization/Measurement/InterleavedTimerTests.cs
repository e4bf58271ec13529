using Titan.Quantization.Measurement;

namespace Titan.Quantization.Tests.Measurement;

public sealed class InterleavedTimerTests
{
    [Fact]
    public void Arms_take_turns_and_warm_ups_are_not_counted()
    {
        var clock = new FakeClock();
        var order = "";
        // The first run of each arm is slow, as first runs are.
        var times = new InterleavedTimer(clock, warmUps: 1, repetitions: 3).Time(
            () => { clock.Advance(order.Contains('a') ? 1 : 100); order += 'a'; },
            () => { clock.Advance(order.Contains('b') ? 2 : 100); order += 'b'; });
        Assert.Equal("abababab", order);
        Assert.Equal([new Timing(1, 1, 3), new Timing(2, 2, 3)], times);
    }

    [Fact]
    public void Median_and_least_are_those_of_the_repetitions()
    {
        Assert.Equal(new Timing(3, 1, 5), Timing.Of([9, 1, 3, 4, 2]));
        Assert.Equal(new Timing(2.5, 1, 4), Timing.Of([4, 1, 3, 2]));
    }

    [Fact]
    public void Slow_work_stops_early_but_not_before_three_repetitions()
    {
        var clock = new FakeClock();
        var runs = 0;
        var timer = new InterleavedTimer(clock, warmUps: 0, repetitions: 100, budget: TimeSpan.FromSeconds(1));
        Assert.Equal(3, timer.Time(() => { runs++; clock.Advance(60); })[0].Repetitions);
        Assert.Equal(3, runs);
        Assert.Equal(11, timer.Time(() => clock.Advance(0.1))[0].Repetitions);
    }
}
