using System.Text.Json.Nodes;
using Titan.Models;
using Titan.Models.Llama3;

namespace Titan.Training.Tests.Models;

/// <summary>A flavor's config.json: what is written, and what of a given one is another model.</summary>
public sealed class HuggingFaceConfigTests
{
    // As Llama 3.1 8B is published, without what says nothing of the model.
    private const string Published =
        """
        {"architectures":["LlamaForCausalLM"],"attention_bias":false,"bos_token_id":128000,"hidden_act":"silu","hidden_size":4096,"intermediate_size":14336,"max_position_embeddings":131072,"mlp_bias":false,
        "model_type":"llama","num_attention_heads":32,"num_hidden_layers":32,"num_key_value_heads":8,"rms_norm_eps":1e-05,"rope_theta":500000.0,"tie_word_embeddings":false,"torch_dtype":"bfloat16","vocab_size":128256,
        "rope_scaling":{"factor":8.0,"high_freq_factor":4.0,"low_freq_factor":1.0,"original_max_position_embeddings":8192,"rope_type":"llama3"}}
        """;

    private static readonly HuggingFaceConfig Eight = new Llama3Family().Flavors["8B"].HuggingFace!().Config;

    [Fact]
    public void The_published_file_of_8B_is_this_flavor() => Assert.Empty(Eight.Differences(Parse(Published)));

    [Fact]
    public void What_is_written_is_the_flavor_again_and_floats_stay_floats()
    {
        Assert.Empty(Eight.Differences(Eight.ToJson()));
        var text = Eight.ToJson().ToJsonString();
        Assert.Contains("\"rope_theta\":500000.0", text, StringComparison.Ordinal);
        Assert.Contains("\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8.0,", text, StringComparison.Ordinal);
    }

    [Fact]
    public void The_spelling_of_transformers_5_is_the_same_model()
    {
        var config = Parse(Published);
        var rope = config["rope_scaling"]!.DeepClone().AsObject();
        rope["rope_theta"] = 500000.0;
        config.Remove("rope_scaling");
        config.Remove("rope_theta");
        config["rope_parameters"] = rope;
        Assert.Empty(Eight.Differences(config));
        rope["factor"] = 32;
        Assert.Equal("rope_scaling.factor is 32, expected 8.0", Assert.Single(Eight.Differences(config)));
    }

    [Fact]
    public void Every_field_that_differs_is_told_with_both_values()
    {
        var config = Parse(Published);
        (config["hidden_size"], config["rope_scaling"], config["tie_word_embeddings"]) = (5120, null, true);
        config.Remove("num_hidden_layers");
        Assert.Equal(
        [
            "hidden_size is 5120, expected 4096", "num_hidden_layers is missing, expected 32",
            "rope_scaling.rope_type is missing, expected \"llama3\"", "rope_scaling.factor is missing, expected 8.0", "rope_scaling.low_freq_factor is missing, expected 1.0",
            "rope_scaling.high_freq_factor is missing, expected 4.0", "rope_scaling.original_max_position_embeddings is missing, expected 8192", "tie_word_embeddings is true, expected false",
        ], Eight.Differences(config));
    }

    [Fact]
    public void Another_architecture_is_told_alone() =>
        Assert.Equal("model_type is \"qwen3\", expected \"llama\"", Assert.Single(Eight.Differences(Parse("""{"model_type":"qwen3","hidden_size":1}"""))));

    private static JsonObject Parse(string json) => JsonNode.Parse(json)!.AsObject();
}
