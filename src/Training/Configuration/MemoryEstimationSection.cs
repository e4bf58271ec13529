using System.ComponentModel;

namespace Titan.Training.Configuration;

/// <summary>Upstream's memory estimation.</summary>
public sealed record MemoryEstimationSection
{
    /// <summary>Estimate instead of training.</summary>
    [Description("Estimate instead of training.")]
    [NotServedYet("use titan plan")]
    public bool Enable { get; init; }

    /// <summary>Estimate on real tensors.</summary>
    [Description("Estimate on real tensors.")]
    [NotServedYet("use titan plan")]
    public bool DisableFakeMode { get; init; }
}
