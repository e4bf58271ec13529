using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>
/// An 8-bit floating point format. TorchSharp's <see cref="ScalarType"/> has no names for them, libtorch has: this is the one place that knows the raw values.
/// </summary>
/// <remarks>Source: OCP 8-bit floating point specification (OFP8) for e4m3fn and e5m2, OCP Microscaling specification for e8m0.</remarks>
public sealed record Float8Format
{
    private Float8Format(string name, ScalarType type, double max) => (Name, Type, Max) = (name, type, max);

    /// <summary>Sign, 4 exponent and 3 mantissa bits; no infinity; largest value 448. For activations and weights.</summary>
    public static Float8Format E4M3 { get; } = new("e4m3", (ScalarType)24, 448);

    /// <summary>Sign, 5 exponent and 2 mantissa bits; largest finite value 57344. For gradients, whose range is wider.</summary>
    public static Float8Format E5M2 { get; } = new("e5m2", (ScalarType)23, 57344);

    /// <summary>8 exponent bits, no sign, no zero: the scale of a microscaling block.</summary>
    public static Float8Format E8M0 { get; } = new("e8m0", (ScalarType)44, 1.7014118346046923e38);

    /// <summary>Short name, as in reports: <c>e4m3</c>, <c>e5m2</c>, <c>e8m0</c>.</summary>
    public string Name { get; }

    /// <summary>libtorch's scalar type. Pass it to <c>to</c> and <c>empty</c>; never call <c>item</c> on such a tensor, its result is wrong.</summary>
    public ScalarType Type { get; }

    /// <summary>Largest finite value.</summary>
    public double Max { get; }

    /// <inheritdoc />
    public override string ToString() => Name;
}
