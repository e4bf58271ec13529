namespace Titan.Training.Tokenizers;

/// <summary>
/// Byte-pair encoding of a word: of all neighbours that a rule merges, those of the lowest rank first, from left to right. A heap of candidates over
/// a linked list makes a word of n symbols O(n log n).
/// </summary>
/// <param name="symbols">The tokens that a word begins as.</param>
/// <param name="rules">The merges, by the pair's tokens (<see cref="Pair"/>).</param>
/// <param name="whole">Words that are taken whole before any merge; null for none.</param>
internal sealed class BytePairEncoder(
    IBpeSymbols symbols, IReadOnlyDictionary<long, MergeRule> rules, IReadOnlyDictionary<string, int>? whole)
{
    private const int Remembered = 1 << 16, LongestRemembered = 64;

    private readonly Dictionary<string, int[]> words = new(StringComparer.Ordinal);
    private readonly Dictionary<long, MergeRule> rules = new(rules);
    private readonly Dictionary<string, int>? whole = whole is null ? null : new Dictionary<string, int>(whole, StringComparer.Ordinal);
    private int[] tokens = [];
    private int[] previous = [];
    private int[] next = [];
    private readonly PriorityQueue<int, long> candidates = new();

    /// <summary>The key of a pair of tokens.</summary>
    public static long Pair(int left, int right) => (long)left << 32 | (uint)right;

    /// <summary>Adds a word's tokens. Not to be called by several threads at once.</summary>
    public void Encode(ReadOnlySpan<char> word, List<int> ids)
    {
        if (whole is not null && whole.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(word, out var id))
        {
            ids.Add(id);
            return;
        }

        if (word.Length > LongestRemembered)
        {
            Merge(word, ids);
            return;
        }

        var known = words.GetAlternateLookup<ReadOnlySpan<char>>();
        if (!known.TryGetValue(word, out var remembered))
        {
            var made = new List<int>();
            Merge(word, made);
            if (words.Count >= Remembered) words.Clear();
            known[word] = remembered = [.. made];
        }

        ids.AddRange(remembered);
    }

    private void Merge(ReadOnlySpan<char> word, List<int> ids)
    {
        var most = word.Length * symbols.MostPerUnit;
        if (tokens.Length < most) (tokens, previous, next) = (new int[most], new int[most], new int[most]);
        var end = symbols.Write(word, tokens);
        for (var i = 0; i < end; i++) (previous[i], next[i]) = (i - 1, i + 1);
        candidates.Clear();
        for (var i = 0; i + 1 < end; i++) Consider(i, end);
        while (candidates.TryDequeue(out var at, out var priority))
        {
            // A candidate is stale where its left token was swallowed or either has grown.
            if (tokens[at] < 0 || next[at] >= end) continue;
            if (!rules.TryGetValue(Pair(tokens[at], tokens[next[at]]), out var rule) || rule.Rank != (int)(priority >> 32)) continue;
            var right = next[at];
            tokens[at] = rule.Id;
            tokens[right] = -1;
            next[at] = next[right];
            if (next[at] < end) previous[next[at]] = at;
            if (previous[at] >= 0) Consider(previous[at], end);
            Consider(at, end);
        }

        for (var i = 0; i < end; i = next[i]) ids.Add(tokens[i]);
        if (word.Length <= 1 << 20) return;
        // What a giant word took is given back.
        (tokens, previous, next) = ([], [], []);
        candidates.TrimExcess();
    }

    private void Consider(int at, int end)
    {
        if (next[at] < end && rules.TryGetValue(Pair(tokens[at], tokens[next[at]]), out var rule))
            candidates.Enqueue(at, (long)rule.Rank << 32 | (uint)at);
    }
}
