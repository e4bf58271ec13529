using System.ComponentModel;
using System.ComponentModel.DataAnnotations;

namespace Titan.Training.Configuration;

/// <summary>The learning rate over time.</summary>
public sealed record LrSchedulerSection
{
    /// <summary>Steps of linear warm-up.</summary>
    [Description("Steps of linear warm-up.")]
    [Range(0, int.MaxValue)]
    public int WarmupSteps { get; init; } = 200;

    /// <summary>Length of the schedule; none for training.steps.</summary>
    [Description("Length of the schedule; none for training.steps.")]
    [Range(1, int.MaxValue)]
    public int? TotalSteps { get; init; }

    /// <summary>Part of the schedule that decays; none for all that follows the warm-up.</summary>
    [Description("Part of the schedule that decays; none for all that follows the warm-up.")]
    [Range(0, 1.0)]
    public double? DecayRatio { get; init; }

    /// <summary>Shape of the decay.</summary>
    [Description("Shape of the decay.")]
    [AllowedValues("linear", "sqrt", "cosine")]
    public string DecayType { get; init; } = "linear";

    /// <summary>Where the decay ends, as a factor of lr.</summary>
    [Description("Where the decay ends, as a factor of lr.")]
    [Range(0, 1.0)]
    public double MinLrFactor { get; init; } = 0.0;
}
