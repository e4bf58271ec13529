namespace Titan.Training.Tokenizers;

/// <summary>What a tokenizer file says of its byte-pair encoding.</summary>
/// <param name="Vocabulary">Tokens by their symbols.</param>
/// <param name="Rules">The merges, by pair of tokens (<see cref="BytePairEncoder.Pair"/>).</param>
/// <param name="IgnoreMerges">Whether a word of the vocabulary is taken whole: Llama 3's has words that no merge leads to.</param>
/// <param name="IsByteLevel">Whether words are written in symbols of bytes; else in characters, of which those that are no token become bytes.</param>
internal sealed record BpeModel(IReadOnlyDictionary<string, int> Vocabulary, IReadOnlyDictionary<long, MergeRule> Rules, bool IgnoreMerges, bool IsByteLevel)
{
    /// <summary>The tokens that a word begins as.</summary>
    public IBpeSymbols Symbols => IsByteLevel ? new ByteLevelSymbols(Vocabulary) : new CharacterSymbols(Vocabulary);
}
