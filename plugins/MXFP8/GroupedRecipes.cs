using Titan.Abstractions;

namespace Titan.Plugins.MXFP8;

/// <summary>Microscaling for experts: blocks of 32 along the dimension that is contracted, scales rounded up, in all three matmuls. Source: torchao's MXFP8 for mixtures of experts.</summary>
/// <param name="gradWeightInHighPrecision">Whether the gradient of the weight is not cast.</param>
public abstract class GroupedMXFP8Recipe(bool gradWeightInHighPrecision = false) : GroupedRecipe<NoOptions>
{
    private const int BlockLength = 32;

    /// <inheritdoc />
    public override DeviceRequirement Requires => DeviceRequirement.Cuda(10, 0).OrEmulated();

    /// <inheritdoc />
    public override LinearRecipe Describe(NoOptions options)
    {
        var block = E4M3.Block(BlockLength, ScaleRounding.RoundUp);
        return new LinearRecipe(new(block, block), new(block, block), gradWeightInHighPrecision ? MatmulRecipe.HighPrecision : new(block, block));
    }
}

/// <summary>All three matmuls in MXFP8.</summary>
[ExportGroupedRecipe("mx", "mxfp8", IsDefault = true, Status = ExportStatus.Prototype, Summary = "blocks of 32, scales rounded up (RCEIL)")]
public sealed class GroupedRceilRecipe() : GroupedMXFP8Recipe;

/// <summary>The gradient of the weight in high precision.</summary>
[ExportGroupedRecipe("mx", "mxfp8_wgrad_with_hp", Status = ExportStatus.Prototype, Summary = "as mxfp8, the weight's gradient in high precision")]
public sealed class GroupedRceilWithGradWeightHighPrecisionRecipe() : GroupedMXFP8Recipe(gradWeightInHighPrecision: true);
