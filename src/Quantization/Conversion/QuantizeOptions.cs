using System.ComponentModel;

namespace Titan.Quantization.Conversion;

/// <summary>The keys that every family's section has.</summary>
public sealed record QuantizeLinearOptions
{
    /// <summary>The recipe; null for the family's default.</summary>
    [Description("The recipe; none for the family's default.")]
    public string? RecipeName { get; init; }

    /// <summary>Parts of FQNs to skip; null for the recipe's own.</summary>
    [Description("Layers whose FQN contains one of these are skipped; auto_filter_small_kn also skips those too small to gain, auto_filter_measured those that a measurement on this device shows not to gain. None: the recipe's own (mx: output, float8: no filter).")]
    public IReadOnlyList<string>? FilterFqns { get; init; }

    /// <summary>Matmuls in fp32 on dequantised operands.</summary>
    [Description("Multiply dequantised operands in fp32: slow, runs anywhere, for tests.")]
    public bool Emulate { get; init; }
}

/// <summary>The options of a family's converter: its own, and per recipe the record that the recipe declares.</summary>
/// <param name="Own">The converter's own keys.</param>
/// <param name="OfRecipe">The options of each recipe of the family, by recipe name.</param>
public sealed record QuantizeOptions(QuantizeLinearOptions Own, IReadOnlyDictionary<string, object> OfRecipe);
