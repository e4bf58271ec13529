using Titan.Abstractions;
using Titan.Models;
using static Titan.Plugins.Qwen3.Qwen3Args;

namespace Titan.Plugins.Qwen3;

/// <summary>Qwen 3: heads of 128 whatever the dimension, norms on queries and keys, rotary embedding of halves, tied embeddings where small; dense, or a mixture of experts in every block.</summary>
[ExportModel("qwen3", Status = ExportStatus.Alpha, Summary = "Qwen 3, dense and mixture of experts")]
public sealed class Qwen3Family : IModelFamily
{
    private static readonly Qwen3Args Mixture30B = new(2048, 48, 32, 4) { Mixture = Experts(128, 8, 768), LongestContext = 262144 };

    /// <summary>Upstream's, and small ones of ours that learn on a CPU within minutes.</summary>
    public IReadOnlyDictionary<string, ModelFlavor> Flavors { get; } = new Dictionary<string, Qwen3Args>
    {
        ["debugmodel"] = new(256, 8) { Vocabulary = 2048, TiedEmbeddings = true },
        ["cpu_small"] = new(256, 4, 4, 2, 512) { Vocabulary = 2048, HeadDimension = 64, TiedEmbeddings = true },
        ["cpu_small_moe"] = new(128, 4, 4, 2) { Vocabulary = 2048, HeadDimension = 32, Mixture = Experts(8, 2, 128) },
        ["0.6B"] = new() { TiedEmbeddings = true },
        ["1.7B"] = new(2048, Hidden: 6144) { TiedEmbeddings = true },
        ["4B"] = new(2560, 36, 32, 8, 9728) { TiedEmbeddings = true },
        ["8B"] = new(4096, 36, 32, 8, 12288),
        ["14B"] = new(5120, 40, 40, 8, 17408),
        ["32B"] = new(5120, 64, 64, 8, 25600),
        ["debugmodel_moe"] = new(256, 8) { Vocabulary = 2048, Mixture = Experts(64, 8, 768) },
        ["30B-A3B"] = Mixture30B,
        ["235B-A22B"] = new(4096, 94, 64, 4) { Mixture = Experts(128, 8, 1536), RopeTheta = 5_000_000, LongestContext = 262144 },
    }.ToDictionary(f => f.Key, f => f.Value.Flavor);
}
