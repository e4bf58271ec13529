namespace Titan.Training.Tokenizers.PreTokenizing;

/// <summary>A step that cuts text into pieces, within which merges stay.</summary>
internal interface IPreTokenizer
{
    /// <summary>Adds the pieces of a piece, none of them empty, in order.</summary>
    void Cut(ReadOnlyMemory<char> piece, List<ReadOnlyMemory<char>> pieces);
}
