using System.Collections;
using System.Globalization;
using System.Text;

namespace Titan.Training.Tokenizers.Patterns;

/// <summary>
/// A text in which each character above U+FFFF, two UTF-16 units that .NET's patterns see as two symbols, is one of the same general category that
/// the pattern does not name. So it answers every question that a pattern can ask (<c>\p{L}</c>, <c>\s</c>, <c>\w</c>, a class, its opposite) as the
/// character itself would. Half a pair stays.
/// </summary>
internal sealed class Shadow
{
    // Alphabetic symbols above U+FFFF: squared and circled letters.
    private static readonly (int First, int Last)[] AlphabeticSymbols = [(0x1f130, 0x1f149), (0x1f150, 0x1f169), (0x1f170, 0x1f189)];

    private static readonly UnicodeCategory[] AboveFfff =
        [.. Enumerable.Range(0x10000, 0x100000).Select(CharUnicodeInfo.GetUnicodeCategory).Distinct()];

    private readonly char[] substitutes = new char[30];
    private readonly char alphabeticSymbol;

    /// <summary>Chooses the characters that stand for others.</summary>
    /// <param name="named">The characters that the pattern names.</param>
    /// <exception cref="PatternException">When it names all of a category.</exception>
    public Shadow(BitArray named)
    {
        // Not of Latin-1, for which \w has exceptions.
        for (var c = 0xffff; c >= 0x100; c--)
            if (!named[c] && !IsCircled((char)c)) substitutes[(int)CharUnicodeInfo.GetUnicodeCategory((char)c)] = (char)c;
        for (var c = CharacterClass.FirstCircledLetter; c <= CharacterClass.LastCircledLetter; c++)
            if (!named[c]) alphabeticSymbol = c;
        foreach (var category in AboveFfff)
        {
            if (substitutes[(int)category] == '\0')
                throw new PatternException($"its pattern names every character of the category {category}; characters above U+FFFF cannot be told from them");
        }

        if (alphabeticSymbol == '\0') throw new PatternException("its pattern names every circled letter; characters above U+FFFF cannot be told from them");
    }

    /// <summary>Makes the shadow.</summary>
    /// <returns>The shadow, and of each of its characters where it begins in the text, with the text's end as last.</returns>
    public (char[] Text, int[] Starts) Of(ReadOnlySpan<char> text)
    {
        var pairs = 0;
        for (var i = 0; i + 1 < text.Length; i++)
            if (char.IsSurrogatePair(text[i], text[i + 1])) pairs++;
        var shadow = new char[text.Length - pairs];
        var starts = new int[shadow.Length + 1];
        for (int i = 0, at = 0; i < shadow.Length; i++)
        {
            starts[i] = at;
            if (at + 1 < text.Length && char.IsSurrogatePair(text[at], text[at + 1]))
            {
                shadow[i] = Of(new Rune(text[at], text[at + 1]));
                at += 2;
            }
            else shadow[i] = text[at++];
        }

        starts[^1] = text.Length;
        return (shadow, starts);
    }

    /// <summary>Whether a character above U+FFFF is a symbol by its category, and alphabetic all the same.</summary>
    public static bool IsAlphabeticSymbol(Rune rune)
    {
        foreach (var (first, last) in AlphabeticSymbols)
            if (rune.Value >= first && rune.Value <= last) return true;
        return false;
    }

    private char Of(Rune rune) => IsAlphabeticSymbol(rune) ? alphabeticSymbol : substitutes[(int)Rune.GetUnicodeCategory(rune)];

    private static bool IsCircled(char c) => c is >= CharacterClass.FirstCircledLetter and <= CharacterClass.LastCircledLetter;
}
