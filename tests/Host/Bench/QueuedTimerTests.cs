using Titan.Benchmarks;

namespace Titan.Host.Tests.Bench;

/// <summary>Against a device that works on a queue of its own: a piece of other work takes it one unit of time, as long as the host takes to queue a call; a call takes it half of one.</summary>
public sealed class QueuedTimerTests
{
    private double host, device, began;

    [Fact]
    public void Calls_are_timed_without_the_time_in_which_the_host_queues_them()
    {
        var timer = Timer();
        foreach (var calls in new[] { 4, 100, 10 })
        {
            var seconds = timer.Seconds(() => Queue(calls));
            Assert.Equal(0.5 * calls, seconds, 1e-9);
        }

        Assert.Equal(0, timer.Overtaken);
    }

    [Fact]
    public void What_takes_longer_to_queue_than_the_device_may_be_kept_busy_is_counted()
    {
        var timer = Timer();
        Assert.True(timer.Seconds(() => Queue(2 * QueuedTimer.Most)) > QueuedTimer.Most);
        Assert.Equal(1, timer.Overtaken);
    }

    [Fact]
    public void Work_that_waits_for_the_device_is_not_waited_for_again_and_leaves_other_work_alone()
    {
        var timer = Timer();
        Action waits = () => host = device = Math.Max(device, host) + 3;
        timer.Seconds(waits);
        var before = device;
        timer.Seconds(waits);
        Assert.Equal(3, device - before, 1e-9);
        Assert.Equal(2, timer.Overtaken);
        Assert.Equal(5, timer.Seconds(() => Queue(10)), 1e-9);
        Assert.Equal(2, timer.Overtaken);
    }

    [Fact]
    public void What_keeps_the_device_busy_may_be_queued_as_often_as_it_takes()
    {
        using var scope = TorchSharp.torch.NewDisposeScope();
        var copy = QueuedTimer.Copies(TorchSharp.torch.CPU, 16);
        for (var i = 0; i < 3; i++) copy();
    }

    private void Queue(int calls)
    {
        for (var i = 0; i < calls; i++)
        {
            host += 1;
            device = Math.Max(device, host) + 0.5;
        }
    }

    private QueuedTimer Timer() => new(
        () => device = Math.Max(device, host) + 1,
        () => began = Math.Max(device, host),
        () => host >= began,
        () =>
        {
            host = device = Math.Max(device, host);
            return device - began;
        });
}
