namespace Titan.Abstractions;

/// <summary>How a scale is formed from the largest magnitude (amax) of the elements that share it.</summary>
public enum ScaleRounding
{
    /// <summary>float32(max / amax), the division in double.</summary>
    None,

    /// <summary>As <see cref="None"/>, then rounded down to a power of two.</summary>
    PowerOfTwo,

    /// <summary>MX: the exponent of amax, less the exponent of the format's largest value (OCP specification).</summary>
    Floor,

    /// <summary>MX: amax / max, rounded up to a power of two (NVIDIA's RCEIL).</summary>
    RoundUp,

    /// <summary>MX: as <see cref="Floor"/>, one more where amax is no power of two.</summary>
    Ceil,

    /// <summary>MX: as <see cref="Floor"/> after rounding amax to the format's mantissa, a half rounded up.</summary>
    Even,
}
