using System.Collections;
using System.Globalization;
using System.Text;

namespace Titan.Training.Tokenizers.Patterns;

/// <summary>
/// Writes a pattern of Oniguruma's Ruby syntax, in which tokenizer files have theirs, in .NET's. What means something else there is written out:
/// <c>^</c> and <c>$</c> are about lines, <c>a++</c> is possessive, <c>\w</c> and <c>(?i)</c> go by Unicode's tables. What is not served is refused
/// by name.
/// </summary>
internal sealed class PatternTranslator
{
    private const int Deepest = 100, Longest = 1 << 16, MostRepeats = 100_000, MostQuantifiers = 8;

    private static readonly string Word = CharacterClass.WordClass, NotWord = CharacterClass.NotWordClass;

    private readonly string pattern;
    private readonly StringBuilder result = new();
    private int at;
    private int depth;

    private PatternTranslator(string pattern) => this.pattern = pattern;

    /// <summary>The characters that the pattern names, alone or in ranges.</summary>
    private BitArray Explicit { get; } = new(1 << 16);

    /// <summary>Translates.</summary>
    /// <returns>The pattern for <see cref="System.Text.RegularExpressions.Regex"/>, and which characters it names rather than describes.</returns>
    /// <exception cref="PatternException">When the pattern is wrong or not served.</exception>
    public static (string Pattern, BitArray Explicit) Translate(string pattern)
    {
        if (pattern.Length > Longest) throw new PatternException($"its pattern has {pattern.Length:N0} characters; expected at most {Longest:N0}");
        if (pattern.AsSpan().IndexOfAnyInRange('\ud800', '\udfff') is var high and >= 0)
            throw new PatternException($"its pattern names a character above U+FFFF at {high}, which is not served");
        var translator = new PatternTranslator(pattern);
        try
        {
            translator.Alternatives(ignoreCase: false);
            if (translator.at < pattern.Length) throw new PatternException("there is a ) without a (");
        }
        catch (PatternException e)
        {
            throw new PatternException($"its pattern cannot be used (character {Math.Min(translator.at, pattern.Length)}): {e.Message}");
        }

        return (translator.result.ToString(), translator.Explicit);
    }

    /// <summary>A pattern that matches a text and nothing else.</summary>
    public static string Quote(string text) =>
        string.Concat(text.Select(c => char.IsAscii(c) && !char.IsLetterOrDigit(c) ? $"\\x{(int)c:x2}" : c.ToString()));

    private char Peek(int ahead = 0) => at + ahead < pattern.Length ? pattern[at + ahead] : '\0';

    private bool Take(string text)
    {
        if (string.CompareOrdinal(pattern, at, text, 0, text.Length) != 0) return false;
        at += text.Length;
        return true;
    }

    private char Next() => at < pattern.Length ? pattern[at++] : throw new PatternException("it ends too early");

    private void Alternatives(bool ignoreCase)
    {
        if (++depth > Deepest) throw new PatternException($"its groups are more than {Deepest} deep");
        // Only here: after something else it would bind what follows in one alternative.
        if (Take("(?i)")) ignoreCase = true;
        while (at < pattern.Length && Peek() != ')')
        {
            if (Take("|")) result.Append('|');
            else Repeated(ignoreCase);
        }

        depth--;
    }

    private void Repeated(bool ignoreCase)
    {
        var start = result.Length;
        Atom(ignoreCase);
        for (var count = 1; Quantifier() is { } quantifier; count++)
        {
            if (count > MostQuantifiers) throw new PatternException($"there are more than {MostQuantifiers} quantifiers in a row");
            // Wrapped, so that a quantifier of a quantifier is no other kind of quantifier.
            var possessive = quantifier[^1] == '!';
            result.Insert(start, possessive ? "(?>" : "(?:").Append(possessive ? quantifier[..^1] : quantifier).Append(')');
        }
    }

    /// <summary>The quantifier that follows in .NET's language, with ! behind it for a possessive one.</summary>
    private string? Quantifier()
    {
        string? range = null;
        if (Peek() is '*' or '+' or '?') range = Next().ToString();
        else if (Peek() == '{') range = Range();
        if (range is null) return null;
        if (range[0] == '{')
        {
            // In Ruby's syntax a{2}? is (a{2})?, and a{2,3}+ is (a{2,3})+: the loop above makes them so.
            return !range.Contains(',', StringComparison.Ordinal) || !Take("?") ? range : range + "?";
        }

        return Take("?") ? range + "?" : Take("+") ? range + "!" : range;
    }

    /// <summary>{n}, {n,}, {,m} or {n,m}; null for a { that stands for itself.</summary>
    private string? Range()
    {
        var end = pattern.IndexOf('}', at);
        if (end < 0) return null;
        var inside = pattern[(at + 1)..end];
        if (inside.Length == 0 || inside == "," || inside.Any(c => !char.IsAsciiDigit(c) && c != ',') || inside.Count(c => c == ',') > 1) return null;
        at = end + 1;
        var bounds = inside.Split(',').Select(n => n.Length == 0 ? (int?)null : int.TryParse(n, out var bound) ? bound : int.MaxValue).ToArray();
        if (bounds.Max() > MostRepeats) throw new PatternException($"{{{inside}}}: expected at most {MostRepeats:N0} repeats");
        if (bounds is [var n0]) return $"{{{n0}}}";
        if (bounds[1] < bounds[0]) throw new PatternException($"{{{inside}}} is upside down");
        return $"{{{bounds[0] ?? 0},{bounds[1]}}}";
    }

    private void Atom(bool ignoreCase)
    {
        switch (Next())
        {
            case '(':
                Group(ignoreCase);
                break;
            case '[':
                Class(ignoreCase);
                break;
            case '.':
                result.Append(@"[^\n]");
                break;
            case '^':
                result.Append(@"(?:\A|(?<=\n)(?!\z))");
                break;
            case '$':
                result.Append(@"(?:(?<!\n)\z|(?=\n))");
                break;
            case '\\':
                Escape(ignoreCase);
                break;
            case '*' or '+' or '?':
                at--;
                throw new PatternException($"there is nothing that the {Peek()} could repeat");
            case var c:
                Literal(c, ignoreCase);
                break;
        }
    }

    private void Group(bool ignoreCase)
    {
        var open = "(?:";
        if (Take("?:")) { }
        else if (Take("?i:")) ignoreCase = true;
        else if (Take("?-i:")) ignoreCase = false;
        else if (new[] { "?=", "?!", "?<=", "?<!", "?>" }.FirstOrDefault(Take) is { } kind) open = "(" + kind;
        else if (Peek() == '?') throw new PatternException($"the group (?{Peek(1)} is not served");
        result.Append(open);
        Alternatives(ignoreCase);
        if (!Take(")")) throw new PatternException("there is a ( without a )");
        result.Append(')');
    }

    private void Class(bool ignoreCase)
    {
        var negated = Take("^");
        var items = new CharacterClass(Explicit);
        while (!Take("]"))
        {
            if (Take("&&")) throw new PatternException("&& in a class is not served");
            var c = Next();
            if (c == '[') throw new PatternException("a class in a class is not served; write \\[ for the character");
            if (c == '\\' && ClassEscape(items, ignoreCase)) continue;
            var first = c == '\\' ? Character() : c;
            var last = first;
            if (Peek() == '-' && at + 1 < pattern.Length && Peek(1) != ']')
            {
                at++;
                last = Next();
                if (last == '[') throw new PatternException("a class in a class is not served; write \\[ for the character");
                if (last == '\\') last = Character();
            }

            items.Add(first, last, ignoreCase);
        }

        if (items.IsEmpty) throw new PatternException("there is an empty class");
        result.Append(items.Render(negated));
    }

    /// <summary>What of a kind of characters may stand behind a backslash; false, and nothing read, where one character does.</summary>
    private bool ClassEscape(CharacterClass items, bool ignoreCase)
    {
        switch (Peek())
        {
            case 'd' or 'D' or 's' or 'S' or 'w' or 'W' or 'h' or 'H':
                items.AddEscape(Next());
                return true;
            case 'p' or 'P':
                var negated = Next() == 'P';
                if (Next() != '{') throw new PatternException("\\p without { is not served");
                if (Take("^")) negated = !negated;
                var end = pattern.IndexOf('}', at);
                if (end < 0) throw new PatternException("\\p{ has no }");
                var name = pattern[at..end];
                at = end + 1;
                items.AddCategory(name, negated, ignoreCase);
                return true;
            default:
                return false;
        }
    }

    private void Escape(bool ignoreCase)
    {
        switch (Peek())
        {
            case 'A' or 'z':
                result.Append('\\').Append(Next());
                return;
            case 'Z':
                at++;
                result.Append(@"(?=\n?\z)");
                return;
            case 'b':
                at++;
                result.Append($"(?:(?<={Word})(?!{Word})|(?<!{Word})(?={Word}))");
                return;
            case 'B':
                at++;
                result.Append($"(?:(?<={Word})(?={Word})|(?<!{Word})(?!{Word}))");
                return;
            case 'w':
                at++;
                result.Append(Word);
                return;
            case 'W':
                at++;
                result.Append(NotWord);
                return;
            case 'H':
                at++;
                result.Append("[^0-9a-fA-F]");
                return;
        }

        var items = new CharacterClass(Explicit);
        if (ClassEscape(items, ignoreCase)) result.Append(items.Render(negated: false));
        else Literal(Character(), ignoreCase);
    }

    /// <summary>The character that an escape stands for; its backslash is read.</summary>
    private char Character()
    {
        var c = Next();
        return c switch
        {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'f' => '\f',
            'v' => '\v',
            'a' => '\a',
            'e' => '\u001b',
            'u' => Hexadecimal(4, 4),
            'x' when Take("{") => Braced(),
            'x' => Hexadecimal(1, 2),
            _ when char.IsAsciiLetterOrDigit(c) => throw new PatternException($"\\{c} is not served"),
            _ => c,
        };
    }

    private char Braced()
    {
        var end = pattern.IndexOf('}', at);
        if (end < 0 || !int.TryParse(pattern.AsSpan(at, end - at), NumberStyles.AllowHexSpecifier, null, out var value))
            throw new PatternException("\\x{ names no character");
        if (value is < 0 or > 0xffff or (>= 0xd800 and < 0xe000))
            throw new PatternException($"the character \\x{pattern[(at - 1)..(end + 1)]} is above U+FFFF, which is not served");
        at = end + 1;
        return (char)value;
    }

    private char Hexadecimal(int least, int most)
    {
        var digits = 0;
        while (digits < most && char.IsAsciiHexDigit(Peek(digits))) digits++;
        if (digits < least) throw new PatternException("an escape lacks hexadecimal digits");
        var value = int.Parse(pattern.AsSpan(at, digits), NumberStyles.AllowHexSpecifier);
        if (value is >= 0xd800 and < 0xe000) throw new PatternException("half of a character above U+FFFF is not served");
        at += digits;
        return (char)value;
    }

    private void Literal(char c, bool ignoreCase)
    {
        var items = new CharacterClass(Explicit);
        items.Add(c, c, ignoreCase);
        result.Append(items.Render(negated: false));
    }
}
