using Titan.Abstractions;
using Titan.Models;

namespace Titan.Plugins.DeepSeekV3;

/// <summary>DeepSeek-V3 and its smaller kin: latent attention, a few dense blocks, then many narrow experts beside shared ones, balanced without a term of the loss.</summary>
[ExportModel("deepseek_v3", Status = ExportStatus.Alpha, Summary = "DeepSeek-V3: latent attention, fine-grained experts, balance without a loss term")]
public sealed class DeepSeekV3Family : IModelFamily
{
    private static readonly DeepSeekV3Args Debug = new(256, 1024, 6, 16, new RouterArgs(8, 3) { Score = RouterScore.Softmax }, 256) { Vocabulary = 2048, MScale = 0.7, DocumentMask = false };

    /// <summary>Upstream's, and a small one of ours that learns on a CPU within minutes.</summary>
    public IReadOnlyDictionary<string, ModelFlavor> Flavors { get; } = new Dictionary<string, DeepSeekV3Args>
    {
        ["debugmodel"] = Debug,
        ["debugmodel_flex_attn"] = Debug with { DocumentMask = true },
        ["cpu_small"] = new(128, 512, 4, 4, new RouterArgs(8, 2) { Groups = 4, LimitedGroups = 2, Norm = true, Scale = 2.5 }, 128)
        {
            Vocabulary = 2048, SharedExperts = 1, QueryRank = 64, KvRank = 64, NopeDimension = 32, RopeDimension = 16, ValueDimension = 32, DocumentMask = false,
        },
        ["16B"] = new(2048, 10944, 27, 16, new RouterArgs(64, 6) { Score = RouterScore.Softmax }, 1408) { MScale = 0.7 },
        ["236B"] = new(5120, 12288, 60, 128, new RouterArgs(160, 6) { Score = RouterScore.Softmax, Groups = 8, LimitedGroups = 3, Scale = 16 }, 1536) { QueryRank = 1536 },
        ["671B"] = new(7168, 18432, 61, 128, new RouterArgs(256, 8) { Groups = 8, LimitedGroups = 4, Norm = true, Scale = 2.5 }, 2048)
        {
            Vocabulary = 129280, DenseLayers = 3, SharedExperts = 1, QueryRank = 1536,
        },
    }.ToDictionary(f => f.Key, f => f.Value.Flavor);
}
