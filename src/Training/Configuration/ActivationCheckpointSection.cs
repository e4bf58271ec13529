using System.ComponentModel;
using System.ComponentModel.DataAnnotations;

namespace Titan.Training.Configuration;

/// <summary>Activations that are computed again instead of kept.</summary>
public sealed record ActivationCheckpointSection
{
    /// <summary>What is computed again.</summary>
    [Description("What is computed again.")]
    [AllowedValues("selective", "full", "none", ErrorMessage = "expected one of: selective, full, none; memory_budget is not supported yet")]
    public string Mode { get; init; } = "selective";

    /// <summary>A number n: every n-th block; op: the feed-forward half of every block.</summary>
    [Description("A number n: every n-th block; op: the feed-forward half of every block.")]
    [RegularExpression("op|0*[0-9]{1,9}", ErrorMessage = "expected a whole number n (every n-th block; 0: every block) or op")]
    public string SelectiveAcOption { get; init; } = "2";

    /// <summary>Matmuls that are always computed again.</summary>
    [Description("Matmuls that are always computed again.")]
    [NotServedYet("recomputation is per block half, not per operator")]
    public IReadOnlyList<string> PerOpSacForceRecomputeMmShapesByFqns { get; init; } = ["moe.router.gate"];

    /// <summary>Stop recomputing early.</summary>
    [Description("Stop recomputing early.")]
    [NotServedYet("a block half is recomputed as a whole")]
    public bool EarlyStop { get; init; }

    /// <summary>Budget of mode memory_budget.</summary>
    [Description("Budget of mode memory_budget.")]
    [NotServedYet("use selective or full")]
    public double MemoryBudget { get; init; } = 0.5;

    /// <summary>Plot of mode memory_budget.</summary>
    [Description("Plot of mode memory_budget.")]
    [NotServedYet("use selective or full")]
    public bool VisualizeMemoryBudgetPareto { get; init; }

    /// <summary>Replay random numbers; the models draw none.</summary>
    [Description("Replay random numbers.")]
    [NoEffect("the models draw none")]
    public bool PreserveRngState { get; init; } = true;

    /// <summary>Check of the recomputation.</summary>
    [Description("Check of the recomputation.")]
    [NotServedYet("recomputation is checked in the tests")]
    public string DeterminismCheck { get; init; } = "default";

    /// <summary>Debug output.</summary>
    [Description("Debug output.")]
    [NotServedYet("there is none")]
    public bool Debug { get; init; }
}
