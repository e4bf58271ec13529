using System.Text;
using Titan.Training.Tokenizers.Patterns;

namespace Titan.Training.Tokenizers;

/// <summary>Trains a byte-level BPE vocabulary (Sennrich et al., 2016): repeatedly merges the most frequent adjacent pair.</summary>
public static class BpeTrainer
{
    /// <summary>The characters that stand for the 256 bytes in a byte-level vocabulary: printable ones for themselves, the others from U+0100 on (GPT-2's rule).</summary>
    public static IReadOnlyList<char> ByteSymbols { get; } = MakeByteSymbols();

    /// <summary>The bytes that the characters stand for.</summary>
    public static IReadOnlyDictionary<char, byte> ByteOf { get; } =
        ByteSymbols.Select((symbol, value) => (symbol, value)).ToDictionary(p => p.symbol, p => (byte)p.value);

    /// <summary>Trains until the vocabulary has <paramref name="size"/> entries.</summary>
    /// <param name="documents">The text.</param>
    /// <param name="size">Entries, the 256 bytes included, special tokens not.</param>
    /// <returns>The symbols in id order, and the merges in order.</returns>
    public static (IReadOnlyList<string> Symbols, IReadOnlyList<(string Left, string Right)> Merges) Train(IEnumerable<string> documents, int size)
    {
        var words = Count(documents);
        var symbols = ByteSymbols.Select(c => c.ToString()).ToList();
        var merges = new List<(string, string)>();
        while (symbols.Count < size)
        {
            var pairs = new Dictionary<(string, string), long>();
            foreach (var (parts, count) in words)
                for (var i = 0; i + 1 < parts.Count; i++)
                    pairs[(parts[i], parts[i + 1])] = pairs.GetValueOrDefault((parts[i], parts[i + 1])) + count;
            if (pairs.Count == 0) break;
            // Ties go to the pair that comes first in ordinal order, so that the result does not depend on hashing.
            var best = pairs.OrderByDescending(p => p.Value).ThenBy(p => p.Key.Item1, StringComparer.Ordinal).ThenBy(p => p.Key.Item2, StringComparer.Ordinal).First().Key;
            var merged = best.Item1 + best.Item2;
            merges.Add(best);
            symbols.Add(merged);
            foreach (var (parts, _) in words)
            {
                for (var i = 0; i + 1 < parts.Count; i++)
                {
                    if (parts[i] != best.Item1 || parts[i + 1] != best.Item2) continue;
                    parts[i] = merged;
                    parts.RemoveAt(i + 1);
                }
            }
        }

        return (symbols, merges);
    }

    private static List<(List<string> Parts, long Count)> Count(IEnumerable<string> documents)
    {
        var pattern = TextPattern.Parse(HuggingFaceTokenizer.Gpt2Pattern);
        var counts = new Dictionary<string, long>(StringComparer.Ordinal);
        foreach (var document in documents)
        {
            foreach (var stretch in pattern.Cut(document))
            {
                var word = document[stretch.Start..stretch.End];
                counts[word] = counts.GetValueOrDefault(word) + 1;
            }
        }

        return [.. counts.OrderBy(c => c.Key, StringComparer.Ordinal)
            .Select(c => (Encoding.UTF8.GetBytes(c.Key).Select(b => ByteSymbols[b].ToString()).ToList(), c.Value))];
    }

    private static char[] MakeByteSymbols()
    {
        var symbols = new char[256];
        var next = (char)256;
        for (var b = 0; b < 256; b++)
            symbols[b] = b is >= '!' and <= '~' or >= 0xa1 and <= 0xac or >= 0xae ? (char)b : next++;
        return symbols;
    }
}
