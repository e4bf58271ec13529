using Titan.Training.Tokenizers.Patterns;

namespace Titan.Training.Tokenizers.PreTokenizing;

/// <summary>Cuts text where a pattern matches.</summary>
/// <param name="pattern">The pattern.</param>
/// <param name="behavior">What becomes of matches.</param>
/// <param name="invert">Whether what lies between matches counts as the matches.</param>
internal sealed class Split(TextPattern pattern, SplitBehavior behavior, bool invert) : IPreTokenizer
{
    public void Cut(ReadOnlyMemory<char> piece, bool isFirst, List<ReadOnlyMemory<char>> pieces)
    {
        var stretches = pattern.Cut(piece.Span);
        if (invert)
            for (var i = 0; i < stretches.Count; i++) stretches[i] = stretches[i] with { Matches = !stretches[i].Matches };
        foreach (var (start, end) in behavior.Pieces(stretches)) pieces.Add(piece[start..end]);
    }
}
