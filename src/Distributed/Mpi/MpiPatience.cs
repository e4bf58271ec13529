using System.Diagnostics;
using Titan.Distributed.Launch;

namespace Titan.Distributed.Mpi;

/// <summary>
/// How long to sleep between two looks at messages under way: not at all while bytes move, then 50 microseconds, growing to a millisecond. A look that took long has moved bytes.
/// </summary>
/// <param name="check">Runs between two looks: watchdog, questions of other ranks.</param>
internal sealed class MpiPatience(Action check)
{
    private const int ImmediateLooks = 8, ShortestSleep = 50, LongestSleep = 1000;
    private static readonly long Working = Stopwatch.Frequency / 100_000;

    private int looks, sleep;
    private long lookedAt;

    public void Begin()
    {
        Moved();
        lookedAt = Stopwatch.GetTimestamp();
    }

    public void Moved() => (looks, sleep) = (0, 0);

    public void Pause()
    {
        if (Stopwatch.GetTimestamp() - lookedAt > Working) Moved();
        check();
        if (++looks > ImmediateLooks)
        {
            sleep = Math.Clamp(sleep + sleep / 4, ShortestSleep, LongestSleep);
            NativeProcess.SleepMicroseconds(sleep);
        }

        lookedAt = Stopwatch.GetTimestamp();
    }
}
