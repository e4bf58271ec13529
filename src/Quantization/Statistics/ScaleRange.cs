namespace Titan.Quantization.Statistics;

/// <summary>The scales of one cast, multiplicative: float8 = round(value * scale).</summary>
/// <param name="Min">The smallest.</param>
/// <param name="Median">The middle one.</param>
/// <param name="Max">The largest.</param>
/// <param name="Count">How many there are: 1 for a scale per tensor.</param>
public readonly record struct ScaleRange(double Min, double Median, double Max, long Count);
