using Titan.Abstractions;

namespace Titan.Plugins.MXFP8;

/// <summary>
/// Microscaling: e4m3 elements in blocks of 32 along the dimension that the matmul contracts, each block with a power-of-two scale of one byte. Source: OCP Microscaling Formats 1.0;
/// torchao's MX linear.
/// </summary>
/// <param name="rounding">How a block's scale is formed.</param>
/// <param name="gradWeightInHighPrecision">Whether the gradient of the weight is not cast.</param>
public abstract class MXFP8Recipe(ScaleRounding rounding, bool gradWeightInHighPrecision = false) : QuantizationRecipe<MXFP8Options>
{
    private const int BlockLength = 32;

    /// <inheritdoc />
    public override DeviceRequirement Requires => DeviceRequirement.Cuda(10, 0).OrEmulated();

    /// <summary>Upstream's default: the head stays in high precision.</summary>
    public override IReadOnlyList<string> DefaultFilterFqns => ["output"];

    /// <inheritdoc />
    public override LinearRecipe Describe(MXFP8Options options)
    {
        options.Check();
        var block = E4M3.Block(BlockLength, rounding);
        return new LinearRecipe(new(block, block), new(block, block), gradWeightInHighPrecision ? MatmulRecipe.HighPrecision : new(block, block));
    }
}
