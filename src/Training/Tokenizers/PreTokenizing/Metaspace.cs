namespace Titan.Training.Tokenizers.PreTokenizing;

/// <summary>Writes a visible character for each space, as SentencePiece does.</summary>
/// <param name="mark">The character, usually U+2581.</param>
/// <param name="prepend">Which pieces get one at their begin: <c>always</c>, <c>first</c> (that of the text), <c>never</c>.</param>
/// <param name="split">Whether each of them begins a piece.</param>
internal sealed class Metaspace(char mark, string prepend, bool split) : IPreTokenizer
{
    /// <summary>The values of <c>prepend_scheme</c>.</summary>
    public static readonly string[] Schemes = ["always", "first", "never"];

    /// <summary>Whether a text gets a mark at its begin.</summary>
    public bool Prepends => prepend != "never";

    public void Cut(ReadOnlyMemory<char> piece, bool isFirst, List<ReadOnlyMemory<char>> pieces)
    {
        var text = piece.ToString().Replace(' ', mark);
        if ((prepend == "always" || (prepend == "first" && isFirst)) && text[0] != mark) text = mark + text;
        var begin = 0;
        for (var i = 1; split && i < text.Length; i++)
        {
            if (text[i] != mark) continue;
            pieces.Add(text.AsMemory(begin, i - begin));
            begin = i;
        }

        pieces.Add(text.AsMemory(begin));
    }
}
