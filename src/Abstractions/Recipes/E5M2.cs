namespace Titan.Abstractions;

/// <summary>Casts to e5m2, the format for gradients.</summary>
public static class E5M2
{
    /// <summary>One scale for the whole tensor.</summary>
    public static OperandCast Tensorwise { get; } =
        new OperandCast.Scaled(Float8Format.E5M2, new ScaleGranularity.Tensorwise(), ScaleRounding.None);
}
