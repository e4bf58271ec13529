using Titan.Training.Tokenizers;

namespace Titan.Training.Data;

/// <summary>A document as its file has it.</summary>
/// <param name="Text">Its text, or the JSON of a conversation.</param>
/// <param name="Place">File, and line where there are lines, for messages.</param>
public sealed record SourceDocument(string Text, string Place);

/// <summary>How documents become tokens, and how they lie in sequences.</summary>
public interface IDocumentFormat
{
    /// <summary>What makes tokens of text.</summary>
    ITokenizer Tokenizer { get; }

    /// <summary>Tells what defines the tokens of a document.</summary>
    string Hash => Tokenizer.Hash;

    /// <summary>Whether a document lies in one sequence, with others if they fit: the rest of the sequence is filled up, and what is longer than a sequence is cut. Else sequences are cut out of one stream.</summary>
    bool IsWhole => false;

    /// <summary>What a corpus lacks that has no tokens, for messages.</summary>
    string Lacking => "no text";

    /// <summary>The tokens of a document, as <see cref="StreamToken"/> has them.</summary>
    IReadOnlyList<int> Encode(SourceDocument document);
}

/// <summary>Documents that are text, all of which is learnt: BOS, text, EOS.</summary>
/// <param name="tokenizer">Makes tokens of text.</param>
public sealed class PlainDocuments(ITokenizer tokenizer) : IDocumentFormat
{
    /// <inheritdoc />
    public ITokenizer Tokenizer => tokenizer;

    /// <inheritdoc />
    public IReadOnlyList<int> Encode(SourceDocument document)
    {
        var tokens = new List<int>();
        if (tokenizer.BosId is { } bos) tokens.Add(bos);
        tokens.AddRange(tokenizer.Encode(document.Text));
        if (tokenizer.EosId is { } eos) tokens.Add(eos);
        return tokens;
    }
}
