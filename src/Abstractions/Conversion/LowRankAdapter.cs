namespace Titan.Abstractions;

/// <summary>
/// A low-rank addition to a linear layer (LoRA, Hu et al., 2021): y = W x + <see cref="Scale"/> · B A x. Who knows it can save A and B as other programs name them, and can make one weight of the three.
/// </summary>
/// <param name="Weight">FQN of W [N, K], for example <c>layers.0.attention.wq.weight</c>.</param>
/// <param name="A">FQN of the parameter A [rank, K].</param>
/// <param name="B">FQN of the parameter B [N, rank].</param>
/// <param name="Rank">Rows of A and columns of B.</param>
/// <param name="Alpha">The scale times the rank.</param>
public sealed record LowRankAdapter(string Weight, string A, string B, int Rank, double Alpha)
{
    /// <summary>What B A is multiplied by: alpha / rank.</summary>
    public double Scale => Alpha / Rank;
}
