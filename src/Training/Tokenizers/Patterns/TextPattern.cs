using System.Text.RegularExpressions;
using Titan.Abstractions;

namespace Titan.Training.Tokenizers.Patterns;

/// <summary>
/// A part of a text: from <paramref name="Start"/> up to <paramref name="End"/>, in UTF-16 units; whether the pattern matched there or it lies
/// between matches.
/// </summary>
internal readonly record struct Stretch(int Start, int End, bool Matches);

/// <summary>A pattern of a tokenizer file, over characters, whatever plane they are of.</summary>
internal sealed class TextPattern
{
    // A compiled pattern takes tens of milliseconds to make, and then a fifth of the time.
    private const int CompileAfter = 1 << 18;

    private readonly string source;
    private readonly Shadow shadow;
    private Regex regex;
    private long seen;
    private bool isCompiled;

    private TextPattern(string source, string pattern, Shadow shadow)
    {
        (this.source, this.shadow) = (source, shadow);
        try
        {
            regex = new Regex(pattern, RegexOptions.CultureInvariant, Patience);
        }
        catch (ArgumentException e)
        {
            throw new PatternException($"its pattern cannot be used: {e.Message}");
        }
    }

    /// <summary>How long one match may take, and a text of up to 100,000 characters; longer texts get as much for each.</summary>
    internal static TimeSpan Patience { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>Reads a pattern in the language of tokenizer files.</summary>
    /// <exception cref="PatternException">When it is wrong or not served.</exception>
    public static TextPattern Parse(string pattern)
    {
        var (translated, named) = PatternTranslator.Translate(pattern);
        return new TextPattern(pattern, translated, new Shadow(named));
    }

    /// <summary>A pattern that matches a text as it is.</summary>
    /// <exception cref="PatternException">When the text has characters above U+FFFF.</exception>
    public static TextPattern Literal(string text) => Parse(PatternTranslator.Quote(text));

    /// <summary>
    /// Cuts a text into matches and what lies between them, in order; together they are the text. Matches of no length are among them.
    /// </summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when the pattern takes too long.</exception>
    public List<Stretch> Cut(ReadOnlySpan<char> text)
    {
        Compile(text.Length);
        if (text.IndexOfAnyInRange('\ud800', '\udfff') < 0) return Cut(text, text.Length);
        var (plain, starts) = shadow.Of(text);
        var stretches = Cut(plain, text.Length);
        for (var i = 0; i < stretches.Count; i++)
            stretches[i] = stretches[i] with { Start = starts[stretches[i].Start], End = starts[stretches[i].End] };
        return stretches;
    }

    private List<Stretch> Cut(ReadOnlySpan<char> text, int length)
    {
        var stretches = new List<Stretch>();
        var last = 0;
        var any = false;
        var end = Environment.TickCount64 + (long)(Patience * Math.Max(1, length / 100_000.0)).TotalMilliseconds;
        try
        {
            foreach (var match in regex.EnumerateMatches(text))
            {
                if (Environment.TickCount64 > end) throw TooSlow(length, null);
                // The reference takes no match of no length where another ends.
                if (match.Length == 0 && any && match.Index == last) continue;
                if (match.Index > last) stretches.Add(new Stretch(last, match.Index, false));
                (last, any) = (match.Index + match.Length, true);
                stretches.Add(new Stretch(match.Index, last, true));
            }
        }
        catch (RegexMatchTimeoutException e)
        {
            throw TooSlow(length, e);
        }

        if (text.Length > last) stretches.Add(new Stretch(last, text.Length, false));
        return stretches;
    }

    private TitanException TooSlow(int length, Exception? inner) => new(ExitCode.Data,
        $"the tokenizer's pattern '{(source.Length > 60 ? source[..60] + "..." : source)}' takes too long at a text of {length:N0} characters: "
        + "it backtracks without end; set model.hf_assets_path to another tokenizer", inner);

    private void Compile(int length)
    {
        seen += length;
        if (isCompiled || seen < CompileAfter) return;
        regex = new Regex(regex.ToString(), regex.Options | RegexOptions.Compiled, regex.MatchTimeout);
        isCompiled = true;
    }
}
