using System.Collections;
using System.Text;

namespace Titan.Training.Tokenizers.Patterns;

/// <summary>
/// The items of a bracketed class, or one escape, as .NET's pattern language writes them; every character is written as <c>\uXXXX</c>, so none means
/// anything else there.
/// </summary>
/// <param name="explicitly">Takes the characters that are named one by one or in ranges, not by what they are.</param>
internal sealed class CharacterClass(BitArray explicitly)
{
    // Ⓐ to ⓩ: alphabetic, so word characters, although their category is that of symbols.
    public const char FirstCircledLetter = '\u24b6', LastCircledLetter = '\u24e9';

    private const string Word = @"\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\u24B6-\u24E9";

    // Outside of a class, Oniguruma asks a table of its own for Latin-1, in which ², ³, ¹, ¼, ½ and ¾ are word characters.
    private const string WordAlone = Word + @"\u00B2\u00B3\u00B9\u00BC-\u00BE";

    /// <summary>General categories, by the names that patterns give them, in lower case without spaces, hyphens and underscores.</summary>
    private static readonly Dictionary<string, string> Categories = MakeCategories();

    /// <summary>The letters whose other forms are no ASCII letters: ſ and the Kelvin sign.</summary>
    private static readonly Dictionary<char, char> Foreign = new() { ['s'] = '\u017f', ['k'] = '\u212a' };

    private readonly StringBuilder items = new();

    /// <summary>What the escape <c>\w</c> matches that stands alone.</summary>
    public static string WordClass => $"[{WordAlone}]";

    /// <summary>All that <see cref="WordClass"/> does not match.</summary>
    public static string NotWordClass => $"[^{WordAlone}]";

    /// <summary>Whether nothing was added.</summary>
    public bool IsEmpty => items.Length == 0;

    /// <summary>The class.</summary>
    public string Render(bool negated) => $"[{(negated ? "^" : "")}{items}]";

    /// <summary>Adds a range of characters.</summary>
    /// <exception cref="PatternException">When the range is upside down, or another case is asked for of what is no ASCII letter.</exception>
    public void Add(char first, char last, bool ignoreCase)
    {
        if (first > last) throw new PatternException($"a class has the range U+{(int)first:X4} to U+{(int)last:X4}, which is upside down");
        Put(first, last);
        if (!ignoreCase) return;
        if (last > 127) throw new PatternException($"(?i) is asked for with the character U+{(int)last:X4}; it is served for ASCII");
        for (var c = first; c <= last; c++)
        {
            if (!char.IsAsciiLetter(c)) continue;
            var other = (char)(c ^ 0x20);
            Put(other, other);
            if (Foreign.TryGetValue(char.ToLowerInvariant(c), out var foreign)) Put(foreign, foreign);
        }
    }

    /// <summary>Adds what <c>\d</c>, <c>\s</c>, <c>\w</c>, <c>\h</c> or their opposites stand for.</summary>
    /// <exception cref="PatternException">For an opposite that cannot stand beside other items.</exception>
    public void AddEscape(char escape)
    {
        switch (escape)
        {
            case 'd' or 'D' or 's' or 'S':
                items.Append('\\').Append(escape);
                break;
            case 'w':
                items.Append(Word);
                break;
            case 'h':
                Put('0', '9');
                Put('a', 'f');
                Put('A', 'F');
                break;
            default:
                throw new PatternException($"\\{escape} in a class is not served");
        }
    }

    /// <summary>Adds a general category.</summary>
    /// <exception cref="PatternException">When the name is none.</exception>
    public void AddCategory(string name, bool negated, bool ignoreCase)
    {
        var plain = string.Concat(name.Where(c => c is not ('_' or '-' or ' '))).ToLowerInvariant();
        if (!Categories.TryGetValue(plain, out var category))
            throw new PatternException($"\\p{{{name}}} is not served; general categories are, such as \\p{{L}}, \\p{{Lu}} and \\p{{N}}");
        if (ignoreCase && category is "Lu" or "Ll" or "Lt") throw new PatternException($"\\p{{{name}}} under (?i) is not served");
        items.Append(negated ? @"\P{" : @"\p{").Append(category).Append('}');
    }

    private void Put(char first, char last)
    {
        items.Append(Text(first));
        if (last > first) items.Append('-').Append(Text(last));
        for (int c = first; c <= last; c++) explicitly[c] = true;
    }

    private static string Text(char c) => $"\\u{(int)c:X4}";

    private static Dictionary<string, string> MakeCategories()
    {
        string[] all =
        [
            "L letter", "Lu uppercaseletter", "Ll lowercaseletter", "Lt titlecaseletter", "Lm modifierletter", "Lo otherletter",
            "M mark", "Mn nonspacingmark", "Mc spacingmark", "Me enclosingmark", "N number", "Nd decimalnumber", "Nl letternumber", "No othernumber",
            "P punctuation", "Pc connectorpunctuation", "Pd dashpunctuation", "Ps openpunctuation", "Pe closepunctuation", "Pi initialpunctuation",
            "Pf finalpunctuation", "Po otherpunctuation", "S symbol", "Sm mathsymbol", "Sc currencysymbol", "Sk modifiersymbol", "So othersymbol", "Z separator",
            "Zs spaceseparator", "Zl lineseparator", "Zp paragraphseparator", "C other", "Cc control", "Cf format", "Co privateuse", "Cn unassigned",
        ];
        var names = new Dictionary<string, string>();
        foreach (var pair in all.Select(a => a.Split(' '))) names[pair[0].ToLowerInvariant()] = names[pair[1]] = pair[0];
        return names;
    }
}
