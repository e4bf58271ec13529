using Titan.Distributed;
using Titan.Distributed.Collectives;

namespace Titan.Training.Metrics;

/// <summary>What the steps between two log lines communicated, for the metrics.</summary>
internal sealed class CommunicationInterval
{
    private readonly Dictionary<(string Group, string Verb), (double Seconds, long Bytes, double? Late)> sums = [];
    private double underWay;
    private double waited;
    private int steps;

    /// <summary>Adds a step.</summary>
    public void Add(CommunicationTotals totals)
    {
        steps++;
        underWay += totals.CollectiveSeconds;
        waited += totals.WaitSeconds;
        foreach (var count in totals.Counts.Where(c => c.Group != "world"))
        {
            var (seconds, bytes, late) = sums.GetValueOrDefault((count.Group, count.Verb), (0, 0, 0));
            sums[(count.Group, count.Verb)] = (seconds + count.Seconds, bytes + count.WireBytes, late + count.LateSeconds);
        }
    }

    /// <summary>
    /// The means per step, and starts over: time in which a collective was under way, the part of it that the computation waited for, and by collective time, bytes and, where
    /// it is known, the part of the time before the last rank had come.
    /// </summary>
    public IReadOnlyList<(string Name, double Value)> Take()
    {
        if (steps == 0) return [];
        var named = new List<(string, double)> { ("time_metrics/communication(s)", underWay / steps), ("time_metrics/communication_exposed(s)", waited / steps) };
        foreach (var ((group, verb), (seconds, bytes, late)) in sums)
        {
            named.Add(($"communication/{group}.{verb}(s)", seconds / steps));
            named.Add(($"communication/{group}.{verb}(bytes)", (double)bytes / steps));
            if (late is { } known) named.Add(($"communication/{group}.{verb}(late s)", known / steps));
        }

        sums.Clear();
        (underWay, waited, steps) = (0, 0, 0);
        return named;
    }
}
