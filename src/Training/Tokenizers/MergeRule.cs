namespace Titan.Training.Tokenizers;

/// <summary>What a pair of neighbours becomes.</summary>
/// <param name="Rank">Lower ones are applied first.</param>
/// <param name="Id">The token that the pair becomes.</param>
internal readonly record struct MergeRule(int Rank, int Id);
