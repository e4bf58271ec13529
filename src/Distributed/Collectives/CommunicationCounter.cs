using System.Diagnostics;

namespace Titan.Distributed.Collectives;

/// <summary>What one verb of one group has moved.</summary>
/// <param name="Verb">c10d's name of the collective.</param>
/// <param name="Group">Name of the group.</param>
/// <param name="Calls">How often it was called.</param>
/// <param name="PayloadBytes">
/// All-gather: bytes of the output; reduce-scatter and all-to-all: of the input; all-reduce, broadcast, send and recv: of the tensor; a batch of
/// messages: of what it sends.
/// </param>
/// <param name="WireBytes">
/// What leaves one rank of R by a ring: (R-1)/R of the payload, twice that for an all-reduce; of an all-to-all with splits and of messages, what goes
/// to other ranks.
/// </param>
/// <param name="Seconds">Time in which it was under way, waiting for late ranks included; 0 where only the device knows (NCCL).</param>
/// <param name="LateSeconds">
/// The part of it before the last rank had come; null where that is not known: after the first calls, which are compared between ranks, and over
/// NCCL.
/// </param>
public sealed record CommunicationCount(string Verb, string Group, long Calls, long PayloadBytes, long WireBytes, double Seconds, double? LateSeconds);

/// <summary>What was communicated since the last time that somebody asked.</summary>
/// <param name="Counts">By verb and group, in that order.</param>
/// <param name="CollectiveSeconds">Time in which a collective was under way, waiting for late ranks included.</param>
/// <param name="WaitSeconds">Time that callers spent waiting for collectives: communication that was not hidden behind compute.</param>
public sealed record CommunicationTotals(IReadOnlyList<CommunicationCount> Counts, double CollectiveSeconds, double WaitSeconds)
{
    /// <summary>The sum of <see cref="CommunicationCount.WireBytes"/>.</summary>
    public long WireBytes => Counts.Sum(c => c.WireBytes);
}

/// <summary>Counts calls, bytes and seconds of this process's collectives. Groups of one rank communicate nothing and are not counted.</summary>
public sealed class CommunicationCounter
{
    private readonly Lock gate = new();
    private readonly Dictionary<(Verb Verb, string Group), (long Calls, long Payload, long Wire, long Ticks, long LateTicks, long LateKnown)> counts = [];
    private long waitTicks;

    /// <summary>What was counted since the last call; counting starts again at zero.</summary>
    public CommunicationTotals Take()
    {
        lock (gate)
        {
            var totals = new CommunicationTotals(
                [.. counts.OrderBy(c => c.Key.Verb).ThenBy(c => c.Key.Group, StringComparer.Ordinal)
                    .Select(c => new CommunicationCount(c.Key.Verb.Text(), c.Key.Group, c.Value.Calls, c.Value.Payload, c.Value.Wire, Seconds(c.Value.Ticks),
                        c.Value.LateKnown >= c.Value.Calls ? Seconds(c.Value.LateTicks) : null))],
                Seconds(counts.Values.Sum(c => c.Ticks)), Seconds(waitTicks));
            counts.Clear();
            waitTicks = 0;
            return totals;
        }
    }

    /// <param name="verb">What is called.</param>
    /// <param name="group">Where.</param>
    /// <param name="size">Ranks of the group.</param>
    /// <param name="payload">Its bytes.</param>
    /// <param name="sent">What goes to other ranks, where that is known; null for what the collective makes of the payload.</param>
    internal void Record(Verb verb, string group, int size, long payload, long? sent = null)
    {
        var once = payload / size * (size - 1) + payload % size * (size - 1) / size;
        var wire = sent ?? (verb == Verb.AllReduce ? 2 * once : once);
        lock (gate)
        {
            var count = counts.GetValueOrDefault((verb, group));
            counts[(verb, group)] = count with { Calls = count.Calls + 1, Payload = count.Payload + payload, Wire = count.Wire + wire };
        }
    }

    /// <param name="verb">What has ended.</param>
    /// <param name="group">Where.</param>
    /// <param name="ticks">Time in which it was under way.</param>
    /// <param name="lateTicks">The part of it before the last rank had come, where known.</param>
    internal void AddCollectiveTicks(Verb verb, string group, long ticks, long? lateTicks)
    {
        lock (gate)
        {
            var count = counts.GetValueOrDefault((verb, group));
            counts[(verb, group)] = count with { Ticks = count.Ticks + ticks, LateTicks = count.LateTicks + (lateTicks ?? 0), LateKnown = count.LateKnown + (lateTicks is null ? 0 : 1) };
        }
    }

    internal void AddWaitTicks(long ticks)
    {
        lock (gate) waitTicks += ticks;
    }

    private static double Seconds(long ticks) => (double)ticks / Stopwatch.Frequency;
}
