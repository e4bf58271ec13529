using System.ComponentModel;
using System.ComponentModel.DataAnnotations;

namespace Titan.Plugins.ContextParallel;

/// <summary>How keys and values come to the ranks that need them; upstream's names.</summary>
public enum RotateMethod
{
    /// <summary>Those of all ranks at once.</summary>
    Allgather,

    /// <summary>One rank's after another's, round a ring.</summary>
    Alltoall,
}

/// <summary>Keys of <c>[parallelism]</c> that concern <see cref="ContextParallel"/>.</summary>
public sealed record ContextParallelOptions
{
    /// <summary>How keys and values travel.</summary>
    [Description("How keys and values travel: gathered from all ranks at once, or round a ring, where a rank holds one other rank's at a time.")]
    public RotateMethod ContextParallelRotateMethod { get; init; }

    /// <summary>Which tokens of a sequence a rank has.</summary>
    [Description("Which tokens of a sequence a rank has: a piece from its head and one from its tail, so that causal attention is the same work for all.")]
    [AllowedValues("headtail")]
    public string ContextParallelLoadBalancer { get; init; } = "headtail";
}
