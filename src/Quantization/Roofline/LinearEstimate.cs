using Titan.Abstractions;

namespace Titan.Quantization.Roofline;

/// <summary>The modelled time of one linear layer, forward and backward.</summary>
/// <param name="Tokens">M: rows of the input.</param>
/// <param name="Shape">K x N of the weight.</param>
/// <param name="Bf16Seconds">Its three matmuls in bf16.</param>
/// <param name="MatmulSeconds">Its three matmuls by the recipe.</param>
/// <param name="CastSeconds">The casts that the recipe adds.</param>
public sealed record LinearEstimate(long Tokens, LinearShape Shape, double Bf16Seconds, double MatmulSeconds, double CastSeconds)
{
    /// <summary>Matmuls and casts by the recipe, in seconds.</summary>
    public double RecipeSeconds => MatmulSeconds + CastSeconds;

    /// <summary>bf16 over recipe: above 1 the layer gains.</summary>
    public double SpeedUp => Bf16Seconds / RecipeSeconds;

    /// <summary>Whether the layer is faster with the recipe.</summary>
    public bool Gains => SpeedUp > 1;
}
