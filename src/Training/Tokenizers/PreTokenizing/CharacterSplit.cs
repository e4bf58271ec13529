using System.Text;
using Titan.Training.Tokenizers.Patterns;

namespace Titan.Training.Tokenizers.PreTokenizing;

/// <summary>Cuts text at characters of a kind, each of which is a match by itself: the steps Digits and Punctuation.</summary>
/// <param name="matches">The kind.</param>
/// <param name="behavior">What becomes of matches.</param>
internal sealed class CharacterSplit(Func<Rune, bool> matches, SplitBehavior behavior) : IPreTokenizer
{
    /// <summary>Punctuation that Unicode got since the reference's table was made, as "first-last" in hexadecimal.</summary>
    private const string Younger =
        "61D 9FD A76 C77 C84 1B4E-1B4F 1B7D-1B7F 2E43-2E4F 2E52-2E5D 10D6E 10EAD 10F55-10F59 10F86-10F89 113D4-113D5 113D7-113D8 1144B-1144F " +
        "1145A-1145B 1145D 11660-1166C 116B9 1183B 11944-11946 119E2 11A3F-11A46 11A9A-11A9C 11A9E-11AA2 11B00-11B09 11BE1 11C41-11C45 " +
        "11C70-11C71 11EF7-11EF8 11F43-11F4F 11FFF 12FF1-12FF2 16D6D-16D6F 16E97-16E9A 16FE2 1E5FF 1E95E-1E95F";

    // Two that were punctuation then and are no more.
    private static readonly HashSet<int> Lost = [0x166d, 0x111c9];

    private static readonly HashSet<int> TooYoung = [.. Younger.Split(' ').SelectMany(Range)];

    /// <summary>Digits and other numbers, one by one or in a row.</summary>
    public static CharacterSplit Digits(bool individual) => new(Rune.IsNumber, individual ? SplitBehavior.Isolated : SplitBehavior.Contiguous);

    /// <summary>Unicode's punctuation, and what of ASCII is neither letter, digit, space nor control.</summary>
    public static CharacterSplit Punctuation(SplitBehavior behavior) => new(IsPunctuation, behavior);

    public void Cut(ReadOnlyMemory<char> piece, bool isFirst, List<ReadOnlyMemory<char>> pieces)
    {
        var text = piece.Span;
        var stretches = new List<Stretch>();
        var last = 0;
        for (var at = 0; at < text.Length;)
        {
            _ = Rune.DecodeFromUtf16(text[at..], out var rune, out var length);
            if (matches(rune))
            {
                if (at > last) stretches.Add(new Stretch(last, at, false));
                stretches.Add(new Stretch(at, last = at + length, true));
            }

            at += length;
        }

        if (text.Length > last) stretches.Add(new Stretch(last, text.Length, false));
        foreach (var (start, end) in behavior.Pieces(stretches)) pieces.Add(piece[start..end]);
    }

    private static bool IsPunctuation(Rune rune) => rune.IsAscii
        ? rune.Value > ' ' && rune.Value < 0x7f && !Rune.IsLetterOrDigit(rune)
        : (Rune.IsPunctuation(rune) && !TooYoung.Contains(rune.Value)) || Lost.Contains(rune.Value);

    private static IEnumerable<int> Range(string range)
    {
        var ends = range.Split('-').Select(e => Convert.ToInt32(e, 16)).ToArray();
        return Enumerable.Range(ends[0], ends[^1] - ends[0] + 1);
    }
}
