namespace Titan.Distributed.Mpi;

/// <summary>Says who keeps a collective waiting, from what the other ranks have answered.</summary>
internal static class HangReport
{
    public static string Write(MpiCommunicator comm, CollectiveCall call, TimeSpan waited, RankDirectory ranks, IReadOnlyDictionary<int, RankProgress> answers, Func<int, string?> groupName)
    {
        var missing = new List<string>();
        foreach (var rank in comm.Members.Where((_, position) => position != comm.Rank))
        {
            var name = ranks.Name(rank);
            if (!answers.TryGetValue(rank, out var answer))
                missing.Add($"no answer from {name}: dead, stopped or unreachable");
            else if (answer.LastCalled < call.Number)
                missing.Add($"{name} has not called it; its last call in this group was " +
                    (answer.LastCalled == 0 ? "none" : $"#{answer.LastCalled}, {Quantities.Seconds(answer.IdleMilliseconds / 1000.0)} ago"));
            else if (answer.Verb != Verb.None && (answer.Verb, answer.Type, answer.Bytes, answer.Detail) != (call.Verb, call.Type, call.Bytes, call.Detail))
                missing.Add($"{name} called {CollectiveCall.Describe(answer.Verb, answer.Type, answer.Bytes, answer.Detail)} instead");
            else if (answer.Completed < call.Number && answer.BusyElsewhere > 0)
                missing.Add($"{name} waits in group '{groupName((int)answer.BusyElsewhere - 1) ?? "?"}' first");
        }

        var who = missing.Count == 0 ? "every rank is in it: a link between them is slow or down" : string.Join("; ", missing);
        return $"{call} has waited {Quantities.Seconds(waited.TotalSeconds)} on {ranks.Me}: {who}. The job ends; raise comm.train_timeout_seconds if a rank may be this late";
    }
}
