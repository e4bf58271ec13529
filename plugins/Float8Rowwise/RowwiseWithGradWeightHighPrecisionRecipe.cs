using Titan.Abstractions;

namespace Titan.Plugins.Float8Rowwise;

/// <summary>
/// As <see cref="RowwiseRecipe"/>, with the gradient of the weight in high precision: the matmul that is most sensitive to range keeps it, and two casts fall away.
/// Source: torchao's <c>rowwise_with_gw_hp</c>.
/// </summary>
[ExportRecipe("float8", "rowwise_with_gw_hp", Status = ExportStatus.Alpha, Summary = "as rowwise, the weight's gradient in high precision")]
public sealed class RowwiseWithGradWeightHighPrecisionRecipe : QuantizationRecipe<NoOptions>
{
    /// <inheritdoc />
    public override DeviceRequirement Requires => DeviceRequirement.Cuda(9, 0).OrEmulated();

    /// <inheritdoc />
    public override LinearRecipe Describe(NoOptions options) => new(
        Output: new(E4M3.Rowwise, E4M3.Rowwise, FastAccumulation: true),
        GradInput: new(E4M3.Rowwise, E4M3.TensorwisePowerOfTwo),
        GradWeight: MatmulRecipe.HighPrecision);

    /// <summary>
    /// Upstream has no rule for this recipe. This one is rowwise's, corrected by what the roofline says of the casts that fall away; docs/estimate.md derives it.
    /// </summary>
    public override string? AutoSkip(LinearShape shape) => shape switch
    {
        { N: <= 2048 } => "N <= 2048",
        { K: <= 512 } => "K <= 512",
        { N: <= 4096, K: <= 2048 } => "N <= 4096 and K <= 2048",
        _ => null,
    };
}
