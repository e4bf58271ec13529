namespace Titan.Training.Tokenizers.PreTokenizing;

/// <summary>A step that cuts text into pieces, within which merges stay.</summary>
internal interface IPreTokenizer
{
    /// <summary>Adds the pieces of a piece, none of them empty, in order.</summary>
    /// <param name="piece">The piece; not empty.</param>
    /// <param name="isFirst">Whether the text begins with it.</param>
    /// <param name="pieces">Gets the pieces.</param>
    void Cut(ReadOnlyMemory<char> piece, bool isFirst, List<ReadOnlyMemory<char>> pieces);
}
