namespace Titan.Quantization.Measurement;

/// <summary>A layer's time forward and backward, in high precision and by a recipe, measured side by side.</summary>
/// <param name="HighPrecisionSeconds">Median, in high precision.</param>
/// <param name="RecipeSeconds">Median, by the recipe.</param>
public sealed record LayerMeasurement(double HighPrecisionSeconds, double RecipeSeconds)
{
    /// <summary>High precision over recipe: above 1 the layer gains.</summary>
    public double SpeedUp => HighPrecisionSeconds / RecipeSeconds;
}
