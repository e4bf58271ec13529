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

    /// <summary>Weights travel in float8 when FSDP gathers them.</summary>
    [Description("Cast weight shards to float8 before FSDP gathers them: half of bf16's bytes on the wire. For every recipe whose weights are float8 in both matmuls.")]
    public bool EnableFsdpFloat8AllGather { get; init; }

    /// <summary>One all-reduce for the scales of all weights, after each optimizer step.</summary>
    [Description("One all-reduce for the scales of all weights after each optimizer step; needs enable_fsdp_float8_all_gather.")]
    public bool PrecomputeFloat8DynamicScaleForFsdp { get; init; }
}

/// <summary>The options of a family's converter: its own, and per recipe the record that the recipe declares.</summary>
/// <param name="Own">The converter's own keys.</param>
/// <param name="OfRecipe">The options of each recipe of the family, by recipe name.</param>
public sealed record QuantizeOptions(QuantizeLinearOptions Own, IReadOnlyDictionary<string, object> OfRecipe);
