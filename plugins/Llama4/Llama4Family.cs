using Titan.Abstractions;
using Titan.Models;

namespace Titan.Plugins.Llama4;

/// <summary>Llama 4: a mixture of experts in every block or every second, one expert per token beside a shared one, scores on the experts' inputs; with iRoPE, attention in chunks.</summary>
[ExportModel("llama4", Status = ExportStatus.Alpha, Summary = "Llama 4: top-1 experts beside a shared one, attention in chunks")]
public sealed class Llama4Family : IModelFamily
{
    private static readonly Llama4Args
        Debug = new(256, 6, 16, 16, 8) { Vocabulary = 2048 },
        Scout = new(5120, 48, 40, 8, 16) { FeedForwardMultiplier = 1.2, MultipleOf = 2048, MixtureStep = 1, LongestContext = 10485760 },
        Maverick = new(5120, 48, 40, 8, 128) { FeedForwardMultiplier = 1.2, MultipleOf = 2048, StretchesContext = false };

    /// <summary>Upstream's, and a small one of ours that learns on a CPU within minutes.</summary>
    public IReadOnlyDictionary<string, ModelFlavor> Flavors { get; } = new Dictionary<string, Llama4Args>
    {
        ["debugmodel"] = Debug,
        ["debugmodel_irope"] = Debug with { NopeStep = 4, FixedBlock = 256 },
        ["cpu_small"] = new(128, 4, 4, 2, 8) { Vocabulary = 2048, MultipleOf = 64 },
        ["17bx16e"] = Scout,
        ["17bx128e"] = Maverick,
        ["17bx16e_irope"] = Scout with { NopeStep = 4 },
        ["17bx128e_irope"] = Maverick with { NopeStep = 4 },
    }.ToDictionary(f => f.Key, f => f.Value.Flavor);
}
