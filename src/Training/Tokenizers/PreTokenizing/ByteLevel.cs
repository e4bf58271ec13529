using System.Text;
using Titan.Training.Tokenizers.Patterns;

namespace Titan.Training.Tokenizers.PreTokenizing;

/// <summary>
/// Writes text as the symbols of its UTF-8 bytes (<see cref="BpeTrainer.ByteSymbols"/>), before which it may put a space and cut by GPT-2's pattern.
/// </summary>
/// <param name="addPrefixSpace">Whether a piece that does not begin with a space gets one.</param>
/// <param name="useRegex">Whether GPT-2's pattern cuts.</param>
internal sealed class ByteLevel(bool addPrefixSpace, bool useRegex) : IPreTokenizer
{
    private readonly TextPattern? pattern = useRegex ? TextPattern.Parse(HuggingFaceTokenizer.Gpt2Pattern) : null;

    public void Cut(ReadOnlyMemory<char> piece, bool isFirst, List<ReadOnlyMemory<char>> pieces)
    {
        if (addPrefixSpace && piece.Span[0] != ' ') piece = $" {piece}".AsMemory();
        var text = piece.Span;
        var stretches = pattern?.Cut(text) ?? [new Stretch(0, text.Length, true)];
        // All bytes are written into one array, of which the pieces are parts.
        var symbols = new char[Encoding.UTF8.GetByteCount(text)];
        var bytes = new byte[Math.Min(symbols.Length, Encoding.UTF8.GetMaxByteCount(stretches.Max(s => s.End - s.Start)))];
        var at = 0;
        foreach (var stretch in stretches)
        {
            var count = Encoding.UTF8.GetBytes(text[stretch.Start..stretch.End], bytes);
            for (var i = 0; i < count; i++) symbols[at + i] = BpeTrainer.ByteSymbols[bytes[i]];
            if (count > 0) pieces.Add(symbols.AsMemory(at, count));
            at += count;
        }
    }
}
