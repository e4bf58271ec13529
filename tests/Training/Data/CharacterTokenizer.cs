using Titan.Training.Tokenizers;

namespace Titan.Training.Tests.Data;

/// <summary>One token per character, its code, so that the tokens of a document can be told by eye. 1 starts a document and 2 ends it, unless they are turned off.</summary>
internal sealed class CharacterTokenizer(bool borders = true, string hash = "characters") : ITokenizer
{
    public int VocabularySize => 1 << 16;

    public int? BosId => borders ? 1 : null;

    public int? EosId => borders ? 2 : null;

    public string Hash => hash;

    public IReadOnlyList<int> Encode(string text) => [.. text.Select(c => (int)c)];

    public string Decode(IEnumerable<int> ids) => string.Concat(ids.Select(i => (char)i));
}
