using Titan.Distributed.Collectives;

namespace Titan.Distributed.Mpi;

/// <summary>Says who keeps a collective waiting, from what the other ranks have answered.</summary>
internal static class HangReport
{
    public static string Write(PendingCollective pending, TimeSpan waited, RankDirectory ranks, IReadOnlyDictionary<int, RankProgress> answers, Func<int, string?> groupName)
    {
        var (comm, call, _) = pending;
        var missing = comm.Members.Where((_, position) => position != comm.Rank && call.Peers?.Contains(position) != false)
            .Select(rank => Missing(ranks.Name(rank), call, answers.GetValueOrDefault(rank), groupName)).OfType<string>().ToList();
        var who = missing.Count == 0 ? "every rank is in it: a link between them is slow or down" : string.Join("; ", missing);
        if (call.Peers is not null) who += ". Each send needs its receive, and the other way round; where ranks send to each other, in one batch";
        return $"{call} has waited {Quantities.Seconds(waited.TotalSeconds)} on {ranks.Me}: {who}. The job ends; raise the timeouts in [comm] if a rank may be this late";
    }

    private static string? Missing(string rank, CollectiveCall call, RankProgress? answer, Func<int, string?> groupName)
    {
        if (answer is null) return $"no answer from {rank}: dead, stopped or unreachable";
        var elsewhere = answer.BusyElsewhere > 0 ? $"waits in group '{groupName((int)answer.BusyElsewhere - 1) ?? "?"}'" : null;
        if (call.Peers is not null)
        {
            var since = answer.IdleMilliseconds < 0 ? "" : $" for {Quantities.Seconds(answer.IdleMilliseconds / 1000.0)}";
            return $"{rank} has called nothing in this group{since}{(elsewhere is null ? "" : $", and it {elsewhere}")}";
        }

        if (answer.LastCalled < call.Number)
        {
            var last = answer.LastCalled == 0 ? "it has called nothing in this group" : $"its last call in this group was #{answer.LastCalled}, {Quantities.Seconds(answer.IdleMilliseconds / 1000.0)} ago";
            return $"{rank} has not called it; {last}{(elsewhere is null ? "" : $", and it {elsewhere}")}";
        }

        if (answer.Verb != Verb.None
            && CollectiveCall.Common(answer.Verb, answer.Type, answer.Bytes, answer.Detail) != CollectiveCall.Common(call.Verb, call.Type, call.Bytes, call.Detail))
            return $"{rank} called {CollectiveCall.Describe(answer.Verb, answer.Type, answer.Bytes, answer.Detail)} instead";
        return answer.Completed < call.Number && elsewhere is not null ? $"{rank} {elsewhere} first" : null;
    }
}
