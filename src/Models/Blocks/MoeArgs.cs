namespace Titan.Models;

/// <summary>A mixture of experts in the place of a feed-forward layer: a router sends each token to a few experts, and all of them to the shared ones.</summary>
/// <param name="Router">The router.</param>
/// <param name="Experts">The experts.</param>
public sealed record MoeArgs(RouterArgs Router, ExpertArgs Experts) : SublayerArgs
{
    /// <summary>What all tokens go through beside their experts; null for none.</summary>
    public SublayerArgs? Shared { get; init; }

    /// <summary>Whether an expert's input is multiplied by the token's score, instead of its output.</summary>
    public bool ScoreBeforeExperts { get; init; } = true;

    /// <summary>How far a step moves the bias that balances the experts' load (Wang et al., 2024); null for no bias.</summary>
    public double? LoadBalance { get; init; } = 1e-3;

    /// <inheritdoc />
    public override bool IsMixture => true;

    /// <inheritdoc />
    public override long Parameters(long dimension) => Router.Parameters(dimension) + Router.Experts * Experts.Parameters(dimension) + (Shared?.Parameters(dimension) ?? 0);

    /// <inheritdoc />
    public override long ActiveParameters(long dimension) => Router.Parameters(dimension) + Router.TopK * Experts.Parameters(dimension) + (Shared?.Parameters(dimension) ?? 0);

    /// <inheritdoc />
    public override long HiddenOfToken => Router.TopK * Experts.Hidden + (Shared?.HiddenOfToken ?? 0);

    /// <inheritdoc />
    public override int RowsOfToken => Router.TopK;

    /// <inheritdoc />
    public override Sublayer Create(long dimension, ModelContext context)
    {
        Router.Check();
        if (LoadBalance is <= 0) throw new ArgumentException($"LoadBalance {LoadBalance}: expected more than 0, or null for no balancing");
        return new MixtureOfExperts(this, dimension, context);
    }
}
