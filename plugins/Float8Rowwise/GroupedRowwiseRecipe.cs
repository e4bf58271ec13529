using Titan.Abstractions;

namespace Titan.Plugins.Float8Rowwise;

/// <summary>
/// <see cref="RowwiseRecipe"/> for experts: what has a scale per column of X and G has one per expert and column. The tensor cores may accumulate fast in all three matmuls, as upstream's do. Source: torchao's
/// <c>fp8_rowwise</c> for mixtures of experts.
/// </summary>
[ExportGroupedRecipe("float8", "rowwise", IsDefault = true, Status = ExportStatus.Prototype, Summary = "one power-of-two scale per row of each expert; e4m3 everywhere")]
public sealed class GroupedRowwiseRecipe : GroupedRecipe<NoOptions>
{
    /// <inheritdoc />
    public override DeviceRequirement Requires => DeviceRequirement.Cuda(9, 0).OrEmulated();

    /// <inheritdoc />
    public override LinearRecipe Describe(NoOptions options)
    {
        var matmul = new MatmulRecipe(E4M3.Rowwise, E4M3.Rowwise, FastAccumulation: true);
        return new LinearRecipe(matmul, matmul, matmul);
    }
}
