using System.Diagnostics;
using Titan.Abstractions;
using Titan.Distributed.Collectives;

namespace Titan.Distributed.Mpi;

/// <summary>Ends the job when the communication thread is in something and gives no sign of life: for calls that block inside MPI (start, groups, end), where the watchdog does not get to look.</summary>
internal sealed class StuckAlarm : IDisposable
{
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(10), LookEvery = TimeSpan.FromSeconds(1);

    private readonly Func<TimeSpan> timeout;
    private readonly Func<string> me;
    private readonly LastWords words;
    private readonly Timer timer;
    private string doing;
    private long beat = Stopwatch.GetTimestamp();

    /// <summary>Starts to look.</summary>
    /// <param name="doing">What the thread is in.</param>
    /// <param name="timeout">How long silence may last, now; some grace is added.</param>
    /// <param name="me">The rank's name, as far as it is known.</param>
    /// <param name="words">How to end the job.</param>
    public StuckAlarm(string doing, Func<TimeSpan> timeout, Func<string> me, LastWords words)
    {
        (this.doing, this.timeout, this.me, this.words) = (doing, timeout, me, words);
        timer = new Timer(_ => Look(), null, LookEvery, LookEvery);
    }

    /// <summary>The thread is in something.</summary>
    public void Begin(string what) => Volatile.Write(ref doing, what);

    /// <summary>The thread is in nothing.</summary>
    public void End() => Volatile.Write(ref doing, "");

    /// <summary>A sign of life.</summary>
    public void Beat() => Interlocked.Exchange(ref beat, Stopwatch.GetTimestamp());

    public void Dispose() => timer.Dispose();

    private void Look()
    {
        var what = Volatile.Read(ref doing);
        if (what.Length == 0 || Stopwatch.GetElapsedTime(Interlocked.Read(ref beat)) is var silent && silent < timeout() + Grace) return;
        words.Say($"{what} has not returned for {Quantities.Seconds(silent.TotalSeconds)} on {me()}: another rank has not come so far, or a link is down. The job ends");
        words.End(ExitCode.RunFailed);
    }
}
