using System.Text;
using ADRaffy.ENSNormalize;
using Titan.Training.Tokenizers.Patterns;

namespace Titan.Training.Tokenizers.Normalizing;

/// <summary>A step that changes text before it is cut.</summary>
internal abstract record Normalizer
{
    /// <summary>Changes a text that is not empty.</summary>
    public abstract string Apply(string text);

    /// <summary>Unicode's composed or decomposed form.</summary>
    /// <param name="Composes">NFC; else NFD.</param>
    public sealed record UnicodeForm(bool Composes) : Normalizer
    {
        // Nothing below is composed of what is below, nor changes.
        private const char FirstMark = '\u0300', FirstComposed = '\u00c0';

        public override string Apply(string text)
        {
            if (text.AsSpan().IndexOfAnyInRange(Composes ? FirstMark : FirstComposed, char.MaxValue) < 0) return text;
            var runes = text.EnumerateRunes().Select(r => r.Value);
            var form = Composes ? ENSNormalize.NF.NFC(runes) : ENSNormalize.NF.NFD(runes);
            var made = new StringBuilder(text.Length);
            foreach (var rune in form) made.Append(char.ConvertFromUtf32(rune));
            return made.ToString();
        }
    }

    /// <summary>Puts a text before.</summary>
    /// <param name="Text">The text.</param>
    public sealed record Prepend(string Text) : Normalizer
    {
        public override string Apply(string text) => Text + text;
    }

    /// <summary>Puts a text in the place of each match.</summary>
    /// <param name="Pattern">What is looked for.</param>
    /// <param name="Content">The text.</param>
    public sealed record Replace(TextPattern Pattern, string Content) : Normalizer
    {
        public override string Apply(string text)
        {
            var made = new StringBuilder(text.Length);
            foreach (var stretch in Pattern.Cut(text))
            {
                if (stretch.Matches) made.Append(Content);
                else made.Append(text, stretch.Start, stretch.End - stretch.Start);
            }

            return made.ToString();
        }
    }
}
