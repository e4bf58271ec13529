using Titan.Abstractions;

namespace Titan.Kernels.Casts;

/// <summary>What elements are cast to.</summary>
/// <param name="Format">Of the elements: e4m3 or e5m2.</param>
/// <param name="Rounding">Of their scales.</param>
public readonly record struct CastTarget(Float8Format Format, ScaleRounding Rounding);
