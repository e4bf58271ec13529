using Titan.Kernels.Cuda;
using static TorchSharp.torch;

namespace Titan.Benchmarks;

/// <summary>
/// Times what a device does, not how fast the host asks for it: first the device is kept busy, until all calls are queued behind that; then it runs them one after the other, between two points whose distance its own
/// clock tells.
/// </summary>
/// <param name="keepBusy">Queues some work that is not timed.</param>
/// <param name="start">Queues the first point.</param>
/// <param name="isRunning">Whether the device has come to the first point.</param>
/// <param name="stop">Queues the second point, waits for it and tells the seconds between the two.</param>
public sealed class QueuedTimer(Action keepBusy, Action start, Func<bool> isRunning, Func<double> stop)
{
    /// <summary>
    /// Pieces of other work at first, and at most: these keep a large GPU busy for about a millisecond and for 40. Few, since a stream holds about a thousand launches: the host waits before it queues more.
    /// </summary>
    public const int First = 4, Most = 128;

    /// <summary>How many pieces each work needs; none where even the most are too few, as for work that waits for the device itself.</summary>
    private readonly Dictionary<Action, int> pieces = [];

    /// <summary>How many timings began before all their calls were queued, although the device was kept busy for as long as it may be.</summary>
    public int Overtaken { get; private set; }

    /// <summary>On a GPU, kept busy by copies of 512 MB that lie in the current dispose scope.</summary>
    public static QueuedTimer On(Device device)
    {
        var watch = CudaStopwatch.Of(Math.Max(device.index, 0));
        return new QueuedTimer(Copies(device, 1 << 27), watch.Start, () => watch.IsRunning, watch.Stop);
    }

    /// <summary>Queues a copy of so many fp32 numbers that lie in the current dispose scope, each time it is called.</summary>
    internal static Action Copies(Device device, long elements)
    {
        Tensor from = ones(elements, device: device), to = empty_like(from);
        // copy_ returns the tensor itself.
        return () => to.copy_(from);
    }

    /// <summary>Seconds that the device takes for what <paramref name="work"/> queues.</summary>
    public double Seconds(Action work)
    {
        var count = pieces.GetValueOrDefault(work, First);
        while (true)
        {
            for (var i = 0; i < count; i++) keepBusy();
            start();
            work();
            var early = isRunning();
            var seconds = stop();
            pieces[work] = count;
            if (!early) return seconds;
            if (count is 0 or Most)
            {
                Overtaken++;
                pieces[work] = 0;
                return seconds;
            }

            count = Math.Min(2 * count, Most);
        }
    }
}
