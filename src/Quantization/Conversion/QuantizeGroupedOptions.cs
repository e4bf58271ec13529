using System.ComponentModel;

namespace Titan.Quantization.Conversion;

/// <summary>The keys that every family's section for experts has.</summary>
public sealed record QuantizeGroupedOptions
{
    /// <summary>The recipe; null for the family's default.</summary>
    [Description("The recipe; none for the family's default. A linear recipe of the family whose casts are local to rows or blocks serves too.")]
    public string? RecipeName { get; init; }

    /// <summary>Parts of FQNs of the layers to convert.</summary>
    [Description("Layers of experts whose FQN contains one of these are converted, for example experts. An entry that matches none is an error.")]
    public IReadOnlyList<string> Fqns { get; init; } = [];

    /// <summary>Matmuls in fp32 on dequantised operands.</summary>
    [Description("Multiply dequantised operands in fp32: slow, runs anywhere, for tests.")]
    public bool Emulate { get; init; }

    /// <summary>Rows travel in float8 where gradients follow, too.</summary>
    [Description("Send rows, and the gradients of their results, to the ranks of their experts in float8, about half of bf16's bytes, in training too: the weight's gradient then casts the decoded rows a second time. Without it only rows that no backward follows travel so. Needs expert_parallel_degree > 1.")]
    public bool EnableFloat8Dispatch { get; init; }
}
