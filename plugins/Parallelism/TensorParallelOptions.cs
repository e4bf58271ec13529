using System.ComponentModel;

namespace Titan.Plugins.Parallelism;

/// <summary>Keys of <c>[parallelism]</c> that concern <see cref="TensorParallel"/>.</summary>
public sealed record TensorParallelOptions
{
    /// <summary>Whether the logits are gathered before the loss.</summary>
    [Description("Gather the logits before the loss.")]
    public bool DisableLossParallel { get; init; }
}
