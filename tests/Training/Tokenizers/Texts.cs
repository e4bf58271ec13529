using System.Text;
using CsCheck;

namespace Titan.Training.Tests.Tokenizers;

/// <summary>Texts to tokenise.</summary>
internal static class Texts
{
    /// <summary>Accents composed and not, scripts, emoji of several code points, control characters, every kind of white space, letters and numbers above U+FFFF.</summary>
    private static readonly string[] Pieces =
    [
        "hello", " world", "é", "e\u0301", "ß", "Ω", "中文", "日本語", "한국어", "עברית", "العربية", "हिन्दी", "ไทย", "🙂", "👩‍👩‍👧", "🇨🇭", "𠀀", "123456", "1", " ", "  ", "\t", "\n", "\r\n", "\n\n",
        "\u00a0", "\u2003", "\u3000", "\ufeff", "\0", "\u0001", "'s", "'LL", "don't", "<|", "|>", "!?", "_", "ĠĊ", "\ufffd", "a𠮷野家", "𝐇𝐞𝐥𝐥𝐨", "𝟏𝟐𝟑", "\U00010107", "𐐷𐐏", "\U000110BD",
        "\U0001F130\U0001F170", "\u24b6\u24d0", "\U000E0101", "\U00011D46", "\U0001D165", "'ſ", "\u212aK", "Ⅷ", "²½", "\u200d\u200c", "ab", "abcd", "abcde", "x", "<a>", " <a> ", "...", "\u0345",
        "\U0001F3FB", "\U0001E2FF", "\U00010EAD", "\U000F0000", "\u0903", "\ue000", "-", "‿", "ǅ", "\u2028", "\u0085",
    ];

    private static readonly string[] WithoutPairs = [.. Pieces.Where(p => !p.Any(char.IsSurrogate))];

    /// <summary>Concatenations of pieces.</summary>
    public static Gen<string> Of(int most) => Of(Pieces, most);

    /// <summary>The same without characters above U+FFFF.</summary>
    public static Gen<string> UpToFfff(int most) => Of(WithoutPairs, most);

    private static Gen<string> Of(string[] pieces, int most) => Gen.Int[0, pieces.Length - 1].Array[0, most].Select(picks => string.Concat(picks.Select(i => pieces[i])));

    /// <summary>Every character, assigned or not.</summary>
    public static IEnumerable<Rune> Characters => Enumerable.Range(0, 0x110000).Where(Rune.IsValid).Select(v => new Rune(v));
}
