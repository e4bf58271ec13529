using System.ComponentModel;
using System.ComponentModel.DataAnnotations;

namespace Titan.Plugins.ExpertParallel;

/// <summary>Keys of <c>[parallelism]</c> that concern <see cref="ExpertParallel"/>.</summary>
public sealed record ExpertParallelOptions
{
    /// <summary>How tokens travel to experts.</summary>
    [Description("How tokens travel to experts: by all-to-all with splits.")]
    [AllowedValues("standard")]
    public string ExpertParallelCommBackend { get; init; } = "standard";
}
