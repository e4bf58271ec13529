namespace Titan.Abstractions;

/// <summary>Casts to e4m3, the format for activations and weights.</summary>
public static class E4M3
{
    /// <summary>One scale for the whole tensor.</summary>
    public static OperandCast Tensorwise { get; } =
        new OperandCast.Scaled(Float8Format.E4M3, new ScaleGranularity.Tensorwise(), ScaleRounding.None);

    /// <summary>One scale for the whole tensor, a power of two: next to <see cref="Rowwise"/> casts, so that going from one to the other only moves exponents.</summary>
    public static OperandCast TensorwisePowerOfTwo { get; } =
        new OperandCast.Scaled(Float8Format.E4M3, new ScaleGranularity.Tensorwise(), ScaleRounding.PowerOfTwo);

    /// <summary>One power-of-two scale for each vector along the contracted dimension.</summary>
    public static OperandCast Rowwise { get; } =
        new OperandCast.Scaled(Float8Format.E4M3, new ScaleGranularity.Rowwise(), ScaleRounding.PowerOfTwo);

    /// <summary>One e8m0 scale for each block along the contracted dimension (microscaling).</summary>
    /// <param name="length">Elements in a block; 32 in the OCP specification.</param>
    /// <param name="rounding">How the scale is formed.</param>
    public static OperandCast Block(int length, ScaleRounding rounding) =>
        new OperandCast.Scaled(Float8Format.E4M3, new ScaleGranularity.Block(length), rounding);
}
