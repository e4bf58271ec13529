using Titan.Quantization.Roofline;

namespace Titan.Host.Planning;

/// <summary>Layers of a model that share shape and fate.</summary>
/// <param name="Fqns">Their names, block numbers replaced by <c>*</c>.</param>
/// <param name="Count">How many.</param>
/// <param name="Estimate">Of one of them, forward and backward; by the recipe also where the job skips the layer.</param>
/// <param name="SkippedBy">The rule that keeps them in bf16, or null when they are converted.</param>
public sealed record LayerEstimate(string Fqns, int Count, LinearEstimate Estimate, string? SkippedBy)
{
    /// <summary>Seconds of all of them as the job runs them.</summary>
    public double Seconds => Count * (SkippedBy is null ? Estimate.RecipeSeconds : Estimate.Bf16Seconds);

    /// <summary>Seconds of all of them in bf16.</summary>
    public double Bf16Seconds => Count * Estimate.Bf16Seconds;

    /// <summary>One or a few words: gains, loses, or why it is skipped and what it would do.</summary>
    public string Verdict
    {
        get
        {
            var outcome = Estimate.Gains ? "gains" : "loses";
            return SkippedBy is null ? outcome : $"skipped ({SkippedBy}); {(Estimate.Gains ? "would gain" : "would lose")}";
        }
    }
}
