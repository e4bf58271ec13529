using Titan.Abstractions;

namespace Titan.Models.Llama3;

/// <summary>Llama 3: RMSNorm, grouped-query attention, SwiGLU, rotary embedding of neighbours, untied embeddings, no biases. Upstream's flavors and initialisation.</summary>
[ExportModel(Name, Status = ExportStatus.Stable, Summary = "Llama 3: grouped-query attention, SwiGLU, rotary embedding")]
public sealed class Llama3Family : IModelFamily
{
    /// <summary>As <c>model.name</c> has it.</summary>
    public const string Name = "llama3";

    private static readonly Llama3Args Debug = new(256, 6, 16, 16, 2048);
    private static readonly Llama3Args Eight = new(4096, 32, 32, 8, FeedForwardMultiplier: 1.3, MultipleOf: 1024);

    /// <summary>Upstream's, and a small one of ours that learns on a CPU within a minute.</summary>
    public IReadOnlyDictionary<string, ModelFlavor> Flavors { get; } = new Dictionary<string, Llama3Args>
    {
        ["debugmodel"] = Debug,
        ["debugmodel_flex_attn"] = Debug with { DocumentMask = true },
        ["debugmodel_varlen_attn"] = Debug with { DocumentMask = true },
        ["cpu_small"] = new(256, 4, 8, 4, 2048, MultipleOf: 128),
        ["8B"] = Eight,
        ["8B_flex"] = Eight with { DocumentMask = true },
        ["8B_varlen"] = Eight with { DocumentMask = true },
        ["70B"] = new(8192, 80, 64, 8, FeedForwardMultiplier: 1.3, MultipleOf: 4096),
        ["405B"] = new(16384, 126, 128, 8, FeedForwardMultiplier: 1.2, MultipleOf: 4096),
    }.ToDictionary(f => f.Key, f => f.Value.Flavor);
}
