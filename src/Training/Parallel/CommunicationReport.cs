using System.Globalization;
using System.Text;
using Titan.Abstractions;
using Titan.Distributed;
using Titan.Distributed.Collectives;

namespace Titan.Training.Parallel;

/// <summary>What the ranks sent each other in a step: as planned, counted by the groups, and whether the two agree.</summary>
/// <param name="plan">What a steady step should move.</param>
public sealed class CommunicationReport(StepPlan plan)
{
    /// <summary>The collectives whose number or bytes are not as computed; empty when all are.</summary>
    /// <param name="counted">By the groups.</param>
    /// <param name="unplanned">What the data made of the plan.</param>
    public IReadOnlyList<string> Differences(CommunicationTotals counted, IReadOnlyList<UnplannedBytes> unplanned)
    {
        var found = Counted(counted).ToDictionary(c => (c.Group, c.Verb), c => (c.Calls, c.PayloadBytes));
        var computed = plan.Traffic.ToDictionary(c => (c.Group, c.Verb), c => (c.Calls, c.PayloadBytes + unplanned.Where(u => u.Group == c.Group && u.Verb == c.Verb).Sum(u => u.Bytes)));
        return [.. found.Keys.Union(computed.Keys).Where(k => found.GetValueOrDefault(k) != computed.GetValueOrDefault(k))
            .Select(k => $"{k.Group} {k.Verb}: computed {Show(computed.GetValueOrDefault(k))}, counted {Show(found.GetValueOrDefault(k))}{Owners(k.Group, k.Verb)}")];
    }

    /// <summary>A table for people.</summary>
    /// <param name="counted">By the groups.</param>
    /// <param name="unplanned">What the data made of the plan.</param>
    public string Render(CommunicationTotals counted, IReadOnlyList<UnplannedBytes> unplanned)
    {
        var text = new StringBuilder("Communication of this rank in one step");
        foreach (var c in Counted(counted))
            text.Append(CultureInfo.InvariantCulture, $"\n  {c.Group,-12} {c.Verb,-24} {c.Calls,5} calls {c.PayloadBytes,14:N0} bytes {c.WireBytes,14:N0} sent {c.Seconds * 1e3,9:F1} ms{Late(c.LateSeconds)}");
        text.Append(CultureInfo.InvariantCulture, $"\n  under way {counted.CollectiveSeconds * 1e3:F1} ms, of which waited for {counted.WaitSeconds * 1e3:F1} ms");
        foreach (var (group, verb, bytes) in unplanned.Where(u => u.Bytes != 0)) text.Append(CultureInfo.InvariantCulture, $"\n  {group} {verb}: {Math.Abs(bytes):N0} bytes {(bytes > 0 ? "more" : "less")} than planned, as the data decided");
        var differences = Differences(counted, unplanned);
        text.Append(differences.Count == 0 ? "\n  calls and bytes are as computed beforehand" : $"\n  not as computed beforehand: {string.Join("; ", differences)}");
        return text.ToString();
    }

    /// <summary>Without what the trainer itself sums over all ranks.</summary>
    private static IEnumerable<CommunicationCount> Counted(CommunicationTotals totals) => totals.Counts.Where(c => c.Calls > 0 && c.Group != "world");

    private string Owners(string group, string verb) => plan.Owners(group, verb) is { Count: > 0 } owners ? $", planned by {string.Join(" and ", owners)}" : ", planned by nobody";

    private static string Late(double? seconds) => seconds is { } late ? string.Create(CultureInfo.InvariantCulture, $", {late * 1e3:F1} of them until the last rank came") : "";

    private static string Show((long Calls, long Bytes) x) => string.Create(CultureInfo.InvariantCulture, $"{x.Calls} calls of {x.Bytes:N0} bytes");
}
