namespace Titan.Abstractions;

/// <summary>How one operand of a matmul is cast: not at all, to float8 with scales, or by code of the plugin's own.</summary>
public abstract record OperandCast
{
    private OperandCast() { }

    /// <summary>The operand stays in the compute precision.</summary>
    public static OperandCast None { get; } = new HighPrecision();

    /// <summary>The operand stays in the compute precision (bf16 or fp32).</summary>
    public sealed record HighPrecision : OperandCast
    {
        /// <inheritdoc />
        public override string ToString() => "hp";
    }

    /// <summary>The operand is multiplied by its scales, clamped and rounded to a float8 format.</summary>
    /// <param name="Format">Element format.</param>
    /// <param name="Granularity">Which elements share a scale.</param>
    /// <param name="Rounding">How the scale is formed.</param>
    public sealed record Scaled(Float8Format Format, ScaleGranularity Granularity, ScaleRounding Rounding) : OperandCast
    {
        /// <inheritdoc />
        public override string ToString() => $"dyn_{Granularity}_{Format}";
    }

    /// <summary>The operand is cast by a plugin's own code.</summary>
    /// <param name="Quantizer">The code; stateless, shared by all layers.</param>
    public sealed record Custom(IQuantizer Quantizer) : OperandCast
    {
        /// <inheritdoc />
        public override string ToString() => Quantizer.Name;
    }
}
