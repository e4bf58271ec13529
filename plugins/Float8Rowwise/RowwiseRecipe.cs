using Titan.Abstractions;

namespace Titan.Plugins.Float8Rowwise;

/// <summary>
/// One scale for each row of a matmul's left and each column of its right operand: an outlier spoils its own row alone. Every operand is cast once per matmul, since the
/// rows of one matmul are the columns of the next. Source: torchao's <c>rowwise</c>.
/// </summary>
[ExportRecipe("float8", "rowwise", Status = ExportStatus.Alpha, Summary = "one power-of-two scale per row; e4m3 everywhere")]
public sealed class RowwiseRecipe : QuantizationRecipe<NoOptions>
{
    /// <inheritdoc />
    public override DeviceRequirement Requires => DeviceRequirement.Cuda(9, 0).OrEmulated();

    /// <inheritdoc />
    public override LinearRecipe Describe(NoOptions options) => new(
        Output: new(E4M3.Rowwise, E4M3.Rowwise, FastAccumulation: true),
        GradInput: new(E4M3.Rowwise, E4M3.Rowwise),
        GradWeight: new(E4M3.Rowwise, E4M3.Rowwise));

    /// <summary>Where the H100 microbenchmarks say that the casts cost more than the matmuls gain.</summary>
    public override string? AutoSkip(LinearShape shape) => shape switch
    {
        { N: <= 2048 } => "N <= 2048",
        { K: <= 1024 } => "K <= 1024",
        { N: <= 4096, K: <= 2048 } => "N <= 4096 and K <= 2048",
        _ => null,
    };
}
