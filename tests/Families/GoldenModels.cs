using Titan.Abstractions;
using Titan.Models;
using Titan.Plugins.DeepSeekV3;
using Titan.Plugins.GptOss;
using Titan.Plugins.Llama4;
using Titan.Plugins.Qwen3;

namespace Titan.Families.Tests;

/// <summary>The tiny models of the vectors: upstream's arguments in ours.</summary>
internal static class GoldenModels
{
    /// <summary>Those of the vectors.</summary>
    public static Dictionary<string, ModelFlavor> All { get; } = Of(64);

    /// <summary>The same for text: with the vocabulary of the tokenizer that the program ships.</summary>
    public static Dictionary<string, ModelFlavor> Readers { get; } = Of(2048);

    private static DeepSeekV3Args DeepSeek(int vocabulary) => new(32, 64, 3, 4, new RouterArgs(8, 3) { Score = RouterScore.Softmax }, 32)
    {
        Vocabulary = vocabulary, KvRank = 24, NopeDimension = 16, RopeDimension = 8, ValueDimension = 16, MScale = 0.7, DocumentMask = false,
    };

    private static Llama4Args Llama(int vocabulary) => new(32, 4, 4, 2, 4) { Vocabulary = vocabulary, MultipleOf = 32 };

    private static Dictionary<string, ModelFlavor> Of(int vocabulary) => new()
    {
        ["qwen3"] = new Qwen3Args(32, 2, 4, 2, 96) { Vocabulary = vocabulary, HeadDimension = 16, TiedEmbeddings = true }.Flavor,
        ["qwen3_moe"] = new Qwen3Args(32, 2, 4, 2) { Vocabulary = vocabulary, HeadDimension = 16, Mixture = Qwen3Args.Experts(8, 3, 32) }.Flavor,
        ["deepseek_v3"] = DeepSeek(vocabulary).Flavor,
        ["deepseek_v3_qlora"] = (DeepSeek(vocabulary) with
        {
            Router = new RouterArgs(8, 3) { Groups = 4, LimitedGroups = 2, Norm = true, Scale = 2.5 }, SharedExperts = 1, QueryRank = 20, RopeDimension = 16, ValueDimension = 12,
            OriginalContext = 64, RopeFactor = 8, MScale = 1,
        }).Flavor,
        ["llama4"] = (Llama(vocabulary) with { OriginalContext = 64 }).Flavor,
        ["llama4_top2"] = new Llama4Args(32, 2, 4, 2, 8) { Vocabulary = vocabulary, MultipleOf = 32, FeedForwardMultiplier = 1.2, TopK = 2, SharedExperts = 2, MixtureStep = 1, StretchesContext = false }.Flavor,
        ["llama4_irope"] = (Llama(vocabulary) with { Experts = 2, NopeStep = 4, FixedBlock = 8 }).Flavor,
        ["gpt_oss"] = new GptOssArgs(32, 2, 4)
        {
            Vocabulary = vocabulary, ExpertHidden = 32, TopK = 2, SwiGluLimit = 1.5, Heads = 4, KvHeads = 2, HeadDimension = 16, Window = 6, OriginalContext = 512, RopeTheta = 10000, RopeFactor = 8,
        }.Flavor,
    };

    public static TheoryData<string, bool> Cases
    {
        get
        {
            var cases = new TheoryData<string, bool>();
            foreach (var name in All.Keys)
            {
                cases.Add(name, false);
                cases.Add(name, true);
            }

            return cases;
        }
    }

    /// <summary>For how long sequences each was built.</summary>
    public static int Length(string name) => name == "deepseek_v3_qlora" ? 160 : 32;
}
