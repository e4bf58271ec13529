using System.ComponentModel;
using System.ComponentModel.DataAnnotations;

namespace Titan.Training.Configuration;

/// <summary>The optimizer.</summary>
public sealed record OptimizerSection
{
    /// <summary>The optimizer.</summary>
    [Description("The optimizer.")]
    [AllowedValues("Adam", "AdamW")]
    public string Name { get; init; } = "AdamW";

    /// <summary>Learning rate.</summary>
    [Description("Learning rate.")]
    [Range(0, double.PositiveInfinity)]
    public double Lr { get; init; } = 8e-4;

    /// <summary>Decay of the first moment.</summary>
    [Description("Decay of the first moment.")]
    [Range(0, 1.0, MaximumIsExclusive = true)]
    public double Beta1 { get; init; } = 0.9;

    /// <summary>Decay of the second moment.</summary>
    [Description("Decay of the second moment.")]
    [Range(0, 1.0, MaximumIsExclusive = true)]
    public double Beta2 { get; init; } = 0.95;

    /// <summary>Added to the denominator.</summary>
    [Description("Added to the denominator.")]
    [Range(0, double.PositiveInfinity, MinimumIsExclusive = true)]
    public double Eps { get; init; } = 1e-8;

    /// <summary>Weight decay, on every parameter.</summary>
    [Description("Weight decay, on every parameter.")]
    [Range(0, double.PositiveInfinity)]
    public double WeightDecay { get; init; } = 0.1;

    /// <summary>Upstream's choice of kernel; the fused one is used for all three, their results are the same.</summary>
    [Description("Upstream's choice of kernel.")]
    [NoEffect("the fused kernel is used for all three, their results are the same")]
    [AllowedValues("for-loop", "foreach", "fused")]
    public string Implementation { get; init; } = "fused";

    /// <summary>Step each parameter as soon as its gradient is there.</summary>
    [Description("Step each parameter as soon as its gradient is there.")]
    [NotServedYet("TorchSharp has no tensor hooks")]
    public bool EarlyStepInBackward { get; init; }
}
