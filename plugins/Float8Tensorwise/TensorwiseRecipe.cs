using Titan.Abstractions;

namespace Titan.Plugins.Float8Tensorwise;

/// <summary>Dynamic scaling with one scale per tensor: the fastest recipe, since each tensor is cast once for both its matmuls.</summary>
[ExportRecipe("float8", "tensorwise", IsDefault = true, Status = ExportStatus.Stable, Summary = "one dynamic scale per tensor; e4m3 activations and weights, e5m2 gradients")]
public sealed class TensorwiseRecipe : QuantizationRecipe<NoOptions>
{
    /// <inheritdoc />
    public override DeviceRequirement Requires => DeviceRequirement.Cuda(8, 9).OrEmulated();

    /// <inheritdoc />
    public override LinearRecipe Describe(NoOptions options) => new(
        Output: new(E4M3.Tensorwise, E4M3.Tensorwise, FastAccumulation: true),
        GradInput: new(E5M2.Tensorwise, E4M3.Tensorwise),
        GradWeight: new(E5M2.Tensorwise, E4M3.Tensorwise));

    /// <summary>Where the H100 microbenchmarks say that the cast costs more than the matmul gains.</summary>
    public override string? AutoSkip(LinearShape shape) => shape is { K: <= 4096, N: <= 1024 } ? "K <= 4096 and N <= 1024" : null;
}
