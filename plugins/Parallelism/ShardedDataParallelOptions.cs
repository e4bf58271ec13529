using System.ComponentModel;
using System.ComponentModel.DataAnnotations;

namespace Titan.Plugins.Parallelism;

/// <summary>Keys of <c>[parallelism]</c> that concern <see cref="FullyShardedDataParallel"/>.</summary>
public sealed record ShardedDataParallelOptions
{
    /// <summary>When gathered weights are dropped: <c>never</c>, or after each block's forward.</summary>
    [Description("When gathered parameters are dropped.")]
    [AllowedValues("default", "always", "never")]
    public string FsdpReshardAfterForward { get; init; } = "default";

    /// <summary>Whether the next block's weights are gathered while a block runs.</summary>
    [Description("Gather the next block's weights while a block runs. Off: to see what it hides.")]
    public bool FsdpPrefetch { get; init; } = true;

    internal bool Reshards => FsdpReshardAfterForward != "never";
}
