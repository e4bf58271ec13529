using Titan.Abstractions;
using Titan.Distributed.Collectives;

namespace Titan.Distributed;

/// <summary>Finds out before the first step that a rank was started with another configuration, other plugins or other versions than rank 0.</summary>
public static class CollectiveAgreement
{
    private const int Shown = 5, LongestValue = 80;

    /// <summary>Compares facts of this rank with those of all others. Every rank calls it.</summary>
    /// <param name="world">All ranks, for tensors in CPU memory.</param>
    /// <param name="facts">What must be the same everywhere: plugin to version and hash, configuration key to value. What explains other differences comes first, as differences are told in this order.</param>
    /// <exception cref="TitanException">On every rank, with <see cref="ExitCode.Usage"/>, naming ranks, keys and both values, when one differs from rank 0.</exception>
    public static void Agree(IProcessGroup world, IReadOnlyDictionary<string, string> facts)
    {
        var all = world.AllGatherObject(facts);
        var differences = all[0].Keys.Union(all.Skip(1).SelectMany(f => f.Keys)).SelectMany(key => Differences(key, all)).ToList();
        if (differences.Count == 0) return;
        var more = differences.Count > Shown ? $"; and {differences.Count - Shown} more" : "";
        throw new TitanException(ExitCode.Usage,
            $"the ranks were not started alike: {string.Join("; ", differences.Take(Shown))}{more}. Start every rank with the same job file, flags and plugins");
    }

    private static IEnumerable<string> Differences(string key, IReadOnlyList<IReadOnlyDictionary<string, string>> all)
    {
        var expected = all[0].GetValueOrDefault(key);
        return all.Select((facts, rank) => (Value: facts.GetValueOrDefault(key), Rank: rank)).Where(f => f.Value != expected).GroupBy(f => f.Value, f => f.Rank)
            .Select(g => $"{key} is {Show(expected)} on rank 0 and {Show(g.Key)} on {Quantities.Ranks([.. g])}");
    }

    private static string Show(string? value) =>
        value is null ? "missing" : value.Length <= LongestValue ? $"'{value}'" : $"'{value[..LongestValue]}...'";
}
