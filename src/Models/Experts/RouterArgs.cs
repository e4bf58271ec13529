namespace Titan.Models;

/// <summary>How a router makes scores of its gate's outputs.</summary>
public enum RouterScore
{
    /// <summary>Each expert by itself.</summary>
    Sigmoid,

    /// <summary>Over all experts.</summary>
    Softmax,
}

/// <summary>A router: which experts a token goes to, and how much each counts.</summary>
/// <param name="Experts">Experts of the layer, E.</param>
/// <param name="TopK">Experts of a token, K.</param>
public sealed record RouterArgs(int Experts, int TopK)
{
    /// <summary>How scores are made.</summary>
    public RouterScore Score { get; init; } = RouterScore.Sigmoid;

    /// <summary>Whether the scores of a token's experts are divided by their sum.</summary>
    public bool Norm { get; init; }

    /// <summary>What the scores of a token's experts are multiplied by, after <see cref="Norm"/>.</summary>
    public double Scale { get; init; } = 1;

    /// <summary>Whether the gate has a bias [E].</summary>
    public bool GateBias { get; init; }

    /// <summary>Groups of consecutive experts, of which a token reaches only the best (DeepSeek-V3's node-limited routing); null for none.</summary>
    public int? Groups { get; init; }

    /// <summary>How many groups a token reaches; with <see cref="Groups"/>.</summary>
    public int? LimitedGroups { get; init; }

    /// <summary>Parameters for a model dimension.</summary>
    public long Parameters(long dimension) => Experts * (dimension + (GateBias ? 1 : 0));

    /// <summary>Throws where the numbers do not fit each other.</summary>
    /// <exception cref="ArgumentException">Naming them.</exception>
    public void Check()
    {
        if (Experts < 1) throw new ArgumentException($"a router over {Experts} experts; expected at least 1");
        if (TopK < 1 || TopK > Experts) throw new ArgumentException($"a router of the best {TopK} of {Experts} experts; expected 1 to {Experts}");
        if (Groups is null && LimitedGroups is not null) throw new ArgumentException($"a router limited to {LimitedGroups} groups without groups; give Groups too");
        if (Groups is not { } groups) return;
        if (LimitedGroups is not { } limit || limit < 1 || limit > groups) throw new ArgumentException($"a router limited to {LimitedGroups?.ToString() ?? "no number"} of {groups} groups; expected 1 to {groups}");
        if (groups < 1 || Experts % groups != 0) throw new ArgumentException($"{Experts} experts in {groups} groups; expected a number of groups that divides the experts");
        // A group's score is the sum of its two best.
        if (Experts / groups < 2) throw new ArgumentException($"{Experts} experts in {groups} groups; expected at least 2 in each");
        if (limit * (Experts / groups) < TopK) throw new ArgumentException($"{limit} groups of {Experts / groups} experts have fewer than the {TopK} that a token goes to; raise LimitedGroups");
    }
}
