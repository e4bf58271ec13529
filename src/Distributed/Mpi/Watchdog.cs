using System.Diagnostics;

namespace Titan.Distributed.Mpi;

/// <summary>Looks at the collective under way: asks the other ranks when it takes long, gives up when it takes too long. Runs on the communication thread, between two tests.</summary>
/// <param name="exchange">How to ask.</param>
/// <param name="ranks">Names for the message.</param>
/// <param name="timeout">How long a collective may take, now.</param>
/// <param name="groupName">Names of communicators.</param>
/// <param name="giveUp">Ends the job with a message.</param>
internal sealed class Watchdog(ProgressExchange exchange, RankDirectory ranks, Func<TimeSpan> timeout, Func<int, string?> groupName, Action<string> giveUp)
{
    private static readonly TimeSpan AskBefore = TimeSpan.FromSeconds(5), PollEvery = TimeSpan.FromMilliseconds(20);

    private CollectiveWork? watched;
    private long startedAt, polledAt;
    private bool asked;

    public CollectiveWork? Watched => Volatile.Read(ref watched);

    public void Begin(CollectiveWork work)
    {
        startedAt = polledAt = Stopwatch.GetTimestamp();
        asked = false;
        Volatile.Write(ref watched, work);
    }

    public void End() => Volatile.Write(ref watched, null);

    public void Check()
    {
        if (Stopwatch.GetElapsedTime(polledAt) < PollEvery) return;
        polledAt = Stopwatch.GetTimestamp();
        exchange.Poll();
        if (watched is not { } work) return;
        var (waited, limit) = (Stopwatch.GetElapsedTime(startedAt), timeout());
        var ask = limit - TimeSpan.FromTicks(Math.Min(AskBefore.Ticks, limit.Ticks / 4));
        if (!asked && waited >= ask)
        {
            asked = true;
            exchange.Ask(work.Communicator, work.Call.Number);
        }

        if (waited >= limit) giveUp(HangReport.Write(work.Communicator, work.Call, waited, ranks, exchange.Answers, groupName));
    }
}
