namespace Titan.Training.Tokenizers;

/// <summary>Text to token ids and back.</summary>
public interface ITokenizer
{
    /// <summary>Highest id plus one.</summary>
    int VocabularySize { get; }

    /// <summary>The token that starts a document, if there is one.</summary>
    int? BosId { get; }

    /// <summary>The token that ends a document, if there is one.</summary>
    int? EosId { get; }

    /// <summary>SHA-256 of what defines the tokenizer: its file, and which tokens start and end a document.</summary>
    string Hash { get; }

    /// <summary>The id of a token that is found in text as it is written; null where there is none.</summary>
    int? AddedToken(string text) => null;

    /// <summary>Encodes text, without BOS and EOS.</summary>
    IReadOnlyList<int> Encode(string text);

    /// <summary>Decodes ids, each of which must be one of the tokenizer's.</summary>
    string Decode(IEnumerable<int> ids);
}
