using System.ComponentModel;
using System.ComponentModel.DataAnnotations;

namespace Titan.Plugins.Lora;

/// <summary>The keys of <c>[lora]</c>, with PEFT's meaning.</summary>
public sealed record LoraOptions
{
    /// <summary>Rows of A and columns of B.</summary>
    [Range(1, 4096)]
    [Description("Rows of A and columns of B.")]
    public int Rank { get; init; } = 8;

    /// <summary>B A counts alpha / rank.</summary>
    [Range(0, double.PositiveInfinity, MinimumIsExclusive = true)]
    [Description("B A counts alpha / rank.")]
    public double Alpha { get; init; } = 16;

    /// <summary>Linear layers that get adapters.</summary>
    [MinLength(1)]
    [Description("Linear layers that get adapters: the end of a name, as wq or attention.wq, or a pattern for the whole name, in which * stands for any characters.")]
    public IReadOnlyList<string> TargetModules { get; init; } = ["layers.*"];
}
