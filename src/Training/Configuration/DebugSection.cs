using System.ComponentModel;

namespace Titan.Training.Configuration;

/// <summary>Reproducing.</summary>
public sealed record DebugSection
{
    /// <summary>Seed of the weights; none for a random one, which is logged.</summary>
    [Description("Seed of the weights; none for a random one, which is logged.")]
    public long? Seed { get; init; }

    /// <summary>Deterministic algorithms only; on the CPU every operation that is used here is one, so this is always so.</summary>
    [Description("Deterministic algorithms only; on the CPU every operation that is used here is one, so this is always so.")]
    public bool Deterministic { get; init; }

    /// <summary>Warn where there is none.</summary>
    [Description("Warn where there is none.")]
    [NotServedYet("every operation that is used here has a deterministic form")]
    public bool DeterministicWarnOnly { get; init; }

    /// <summary>Routers send every expert as many tokens as any other, whatever the scores say: for measurements.</summary>
    [Description("Routers send every expert as many tokens as any other, whatever the scores say: for measurements.")]
    public bool MoeForceLoadBalance { get; init; }
}
