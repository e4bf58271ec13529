using System.Buffers;
using System.Globalization;
using System.Text;
using Titan.Training.Tokenizers.Normalizing;
using Titan.Training.Tokenizers.Patterns;

namespace Titan.Training.Tokenizers;

/// <summary>
/// Finds added tokens in text: the first that begins, and of those the longest. Those that are not normalised are looked for in the text as it is, the others, normalised as it is, in what
/// the normalizers make of what is left.
/// </summary>
internal sealed class AddedTokens
{
    private readonly IReadOnlyList<Normalizer> normalizers;
    private readonly Finder asWritten, normalized;

    /// <summary>Takes the tokens.</summary>
    /// <param name="tokens">The tokens.</param>
    /// <param name="normalizers">What changes text, in order.</param>
    public AddedTokens(IReadOnlyList<AddedToken> tokens, IReadOnlyList<Normalizer> normalizers)
    {
        this.normalizers = normalizers;
        asWritten = new Finder([.. tokens.Where(t => !t.Normalized && t.Content.Length > 0)]);
        // Of two that are one then, the first.
        normalized = new Finder([.. tokens.Where(t => t.Normalized && t.Content.Length > 0).Select(t => t with { Content = Normalized(t.Content) }).Where(t => t.Content.Length > 0).DistinctBy(t => t.Content)]);
    }

    /// <summary>Cuts a text into added tokens, which have an id, and what lies between them, normalised, in order.</summary>
    public IReadOnlyList<(int? Id, ReadOnlyMemory<char> Text)> Cut(string text)
    {
        if (text.Length == 0) return [];
        List<(int? Id, ReadOnlyMemory<char> Text)> parts = [], all = [];
        asWritten.Cut(text.AsMemory(), parts);
        foreach (var part in parts)
        {
            if (part.Id is not null) all.Add(part);
            else if (normalizers.Count == 0) normalized.Cut(part.Text, all);
            else if (Normalized(part.Text.ToString()) is { Length: > 0 } made) normalized.Cut(made.AsMemory(), all);
        }

        return all;
    }

    private string Normalized(string text) => normalizers.Aggregate(text, (made, step) => made.Length > 0 ? step.Apply(made) : made);

    private sealed class Finder(IReadOnlyList<AddedToken> tokens)
    {
        // In ordinal order: those that begin alike are neighbours, the shortest first.
        private readonly AddedToken[] sorted = [.. tokens.OrderBy(t => t.Content, StringComparer.Ordinal)];
        private readonly SearchValues<char> beginnings = SearchValues.Create([.. tokens.Select(t => t.Content[0]).Distinct()]);

        public void Cut(ReadOnlyMemory<char> memory, List<(int?, ReadOnlyMemory<char>)> parts)
        {
            var text = memory.Span;
            int last = 0, spaceEnd = 0;
            for (var at = 0; at < text.Length;)
            {
                var skip = text[at..].IndexOfAny(beginnings);
                if (skip < 0) break;
                at += skip;
                if (Longest(text[at..]) is not { } token)
                {
                    at++;
                    continue;
                }

                int start = at, end = at += token.Content.Length;
                if (token.SingleWord && (EndsWithWord(text[..start]) || StartsWithWord(text[end..]))) continue;
                // White space may be another token's already, and all of a token that is white space with it.
                if (token.LeftStrip) start = start > last ? last + text[last..start].TrimEnd().Length : last;
                // A run of white space is walked once, however many tokens are in it.
                if (token.RightStrip) end = spaceEnd = end <= spaceEnd ? spaceEnd : text.Length - text[end..].TrimStart().Length;
                if (start >= end) continue;
                if (start > last) parts.Add((null, memory[last..start]));
                parts.Add((token.Id, memory[start..end]));
                last = end;
            }

            if (last < text.Length) parts.Add((null, memory[last..]));
        }

        /// <summary>The longest token that the text begins with.</summary>
        private AddedToken? Longest(ReadOnlySpan<char> text)
        {
            AddedToken? found = null;
            // The tokens from low to high begin as the text does, and go on.
            int low = 0, high = sorted.Length;
            for (var i = 0; i < text.Length && low < high; i++)
            {
                low = First(low, high, i, text[i]);
                high = First(low, high, i, text[i] + 1);
                if (low < high && sorted[low].Content.Length == i + 1) found = sorted[low++];
            }

            return found;
        }

        /// <summary>The first of the tokens from low to high whose character at a place is not below another.</summary>
        private int First(int low, int high, int place, int character)
        {
            while (low < high)
            {
                var middle = (low + high) / 2;
                if (sorted[middle].Content[place] < character) low = middle + 1;
                else high = middle;
            }

            return low;
        }

        private static bool EndsWithWord(ReadOnlySpan<char> text) =>
            Rune.DecodeLastFromUtf16(text, out var rune, out _) == OperationStatus.Done && IsWord(rune);

        private static bool StartsWithWord(ReadOnlySpan<char> text) =>
            Rune.DecodeFromUtf16(text, out var rune, out _) == OperationStatus.Done && IsWord(rune);

        /// <summary>What <c>\w</c> is in the reference's second pattern language, which joiners belong to.</summary>
        private static bool IsWord(Rune rune) =>
            Rune.GetUnicodeCategory(rune) is <= UnicodeCategory.LetterNumber or UnicodeCategory.ConnectorPunctuation
            || rune.Value is 0x200c or 0x200d or (>= CharacterClass.FirstCircledLetter and <= CharacterClass.LastCircledLetter) || Shadow.IsAlphabeticSymbol(rune);
    }
}
