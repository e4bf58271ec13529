using System.ComponentModel;
using System.ComponentModel.DataAnnotations;

namespace Titan.Training.Configuration;

/// <summary>What is trained, and what is done to it.</summary>
public sealed record ModelSection
{
    /// <summary>Model family.</summary>
    [Description("Model family.")]
    public string Name { get; init; } = "llama3";

    /// <summary>Flavor of the family.</summary>
    [Description("Flavor of the family.")]
    public string Flavor { get; init; } = "debugmodel";

    /// <summary>Hugging Face folder with tokenizer.json, tokenizer_config.json for bos_token and eos_token, and the weights that checkpoint.initial_load_in_hf loads.</summary>
    [Description("Hugging Face folder with tokenizer.json, tokenizer_config.json for bos_token and eos_token, and the weights that checkpoint.initial_load_in_hf loads (default: the tokenizer that is shipped).")]
    public string HfAssetsPath { get; init; } = "./assets/tokenizer";

    /// <summary>Deprecated name of hf_assets_path.</summary>
    [Description("Deprecated name of hf_assets_path.")]
    public string? TokenizerPath { get; init; }

    /// <summary>How conversations become text (dataset chat): auto goes by the tokenizer's special tokens; docs/fine-tuning.md shows each.</summary>
    [Description("How conversations become text (dataset chat): auto goes by the tokenizer's special tokens; docs/fine-tuning.md shows each.")]
    [AllowedValues("auto", "llama3", "llama4", "chatml", "deepseek", "plain")]
    public string ChatTemplate { get; init; } = "auto";

    /// <summary>Model converters, applied in this order.</summary>
    [Description("Model converters, applied in this order.")]
    public IReadOnlyList<string> Converters { get; init; } = [];

    /// <summary>Parameters that stay as they are, by FQN: a parameter, or a module with all that is in it; * stands for any characters. They get no gradient and no optimizer state.</summary>
    [Description("Parameters that stay as they are, by FQN: a parameter, or a module with all that is in it; * stands for any characters, for example tok_embeddings,layers.*.attention. They get no gradient and no optimizer state.")]
    public IReadOnlyList<string> FrozenFqns { get; init; } = [];

    /// <summary>Log the module tree after conversion.</summary>
    [Description("Log the module tree after conversion.")]
    public bool PrintAfterConversion { get; init; }
}
