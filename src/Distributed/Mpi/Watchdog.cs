using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using Titan.Abstractions;

namespace Titan.Distributed.Mpi;

/// <summary>A collective under way.</summary>
/// <param name="Communicator">Where.</param>
/// <param name="Call">Which.</param>
/// <param name="StartedAt">Timestamp of <see cref="Stopwatch"/>.</param>
internal sealed record PendingCollective(MpiCommunicator Communicator, CollectiveCall Call, long StartedAt);

/// <summary>Looks at the collectives under way: asks the other ranks when one takes long, gives up when it takes too long. Runs on the communication thread, between two tests.</summary>
/// <param name="exchange">How to ask.</param>
/// <param name="ranks">Names for the message.</param>
/// <param name="timeout">How long a collective may take, now.</param>
/// <param name="groupName">Names of communicators.</param>
/// <param name="words">How to end the job.</param>
internal sealed class Watchdog(ProgressExchange exchange, RankDirectory ranks, Func<TimeSpan> timeout, Func<int, string?> groupName, LastWords words)
{
    private static readonly TimeSpan AskBefore = TimeSpan.FromSeconds(5), PollEvery = TimeSpan.FromMilliseconds(20);

    private readonly List<Func<PendingCollective?>> others = [];
    private PendingCollective? pending;
    private CollectiveCall? asked;
    private long polledAt;

    /// <summary>What the communication thread is in.</summary>
    public PendingCollective? Pending => Volatile.Read(ref pending);

    public void Begin(CollectiveWork work) => Volatile.Write(ref pending, new(work.Communicator, work.Call, Stopwatch.GetTimestamp()));

    public void End() => Volatile.Write(ref pending, null);

    /// <summary>Watches what runs elsewhere: the oldest collective of a group over NCCL.</summary>
    public void Watch(Func<PendingCollective?> oldest)
    {
        lock (others) others.Add(oldest);
    }

    public void Check()
    {
        if (Stopwatch.GetElapsedTime(polledAt) < PollEvery) return;
        polledAt = Stopwatch.GetTimestamp();
        exchange.Poll();
        Look(pending);
        lock (others)
        {
            foreach (var oldest in others)
            {
                try
                {
                    Look(oldest());
                }
                catch (TitanException e)
                {
                    // An error that the device reported after the call had returned: nobody else would hear of it.
                    GiveUp(e.Message);
                }
            }
        }
    }

    private void Look(PendingCollective? collective)
    {
        if (collective is not { } p) return;
        var (waited, limit) = (Stopwatch.GetElapsedTime(p.StartedAt), timeout());
        if (waited >= limit)
            GiveUp(HangReport.Write(p, waited, ranks, ReferenceEquals(asked, p.Call) ? exchange.Answers : new Dictionary<int, RankProgress>(), groupName));
        else if (!ReferenceEquals(asked, p.Call) && waited >= limit - TimeSpan.FromTicks(Math.Min(AskBefore.Ticks, limit.Ticks / 4)))
            exchange.Ask(p.Communicator, (asked = p.Call).Peers is null ? p.Call.Number : 0);
    }

    [DoesNotReturn]
    private void GiveUp(string message)
    {
        words.Say(message);
        // The other ranks are about to say the same of themselves: let them, and answer what they ask.
        for (var i = 0; i < 15; i++)
        {
            exchange.Poll();
            Thread.Sleep(20);
        }

        words.End(ExitCode.RunFailed);
    }
}
