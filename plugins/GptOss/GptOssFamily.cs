using Titan.Abstractions;
using Titan.Models;

namespace Titan.Plugins.GptOss;

/// <summary>gpt-oss: sinks and biases in attention, windows in every second block, four experts per token with a clamped gate.</summary>
[ExportModel("gpt_oss", Status = ExportStatus.Alpha, Summary = "gpt-oss: attention sinks, windows in every second block, clamped experts")]
public sealed class GptOssFamily : IModelFamily
{
    /// <summary>Upstream's, and a small one of ours that learns on a CPU within minutes.</summary>
    public IReadOnlyDictionary<string, ModelFlavor> Flavors { get; } = new Dictionary<string, GptOssArgs>
    {
        ["debugmodel"] = new(256, 4, 8),
        ["cpu_small"] = new(128, 4, 8) { Vocabulary = 2048, ExpertHidden = 128, TopK = 2, Heads = 4, KvHeads = 2, HeadDimension = 32, Window = 32 },
        ["20b"] = new(2880, 24, 32),
        ["120b"] = new(2880, 36, 128),
    }.ToDictionary(f => f.Key, f => f.Value.Flavor);
}
