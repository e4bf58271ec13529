using static TorchSharp.torch;

namespace Titan.Models;

/// <summary>A family of models: one architecture in several sizes. Stateless. Export it with <see cref="ExportModelAttribute"/>.</summary>
public interface IModelFamily
{
    /// <summary>The sizes by name (<c>model.flavor</c>).</summary>
    IReadOnlyDictionary<string, ModelFlavor> Flavors { get; }
}

/// <summary>One size of a family.</summary>
/// <param name="Counts">Its numbers.</param>
/// <param name="Build">Builds it with uninitialised parameters.</param>
public sealed record ModelFlavor(ModelCounts Counts, Func<ModelContext, LanguageModel> Build)
{
    /// <summary>How it is stored in Hugging Face's checkpoints; null where the family does not say.</summary>
    public Func<HuggingFaceFormat>? HuggingFace { get; init; }
}

/// <summary>What a model is built for.</summary>
/// <param name="Length">The longest sequence, in tokens.</param>
/// <param name="Device">Where parameters are made; <c>meta</c> allocates nothing.</param>
/// <param name="Type">Dtype of the parameters.</param>
public sealed record ModelContext(int Length, Device Device, ScalarType Type)
{
    /// <summary>Whether routers send every expert as many tokens as any other, whatever the scores say (<c>debug.moe_force_load_balance</c>).</summary>
    public bool ForceLoadBalance { get; init; }
}
