using System.Text.Json.Nodes;
using Titan.Abstractions;
using Titan.Training.Checkpoints;
using Titan.Training.Configuration;
using Titan.Training.HuggingFace;
using static TorchSharp.torch;

namespace Titan.Training.Tests.Loop;

/// <summary>Runs that leave Hugging Face's checkpoints, start from them, and refuse what does not fit.</summary>
public sealed class HuggingFaceRunTests : TinyRuns
{
    private static CheckpointSection Leaves { get; } = new() { Enable = true, Interval = 100, LastSaveInHf = true };

    [Fact]
    public void What_a_run_leaves_is_a_folder_that_transformers_expect()
    {
        Run(Leaves, "run");
        var step = At("run", $"step-{Steps}");
        Assert.Equal(
            ["config.json", "generation_config.json", "manifest.json", "manifest.json.sha256", "model.safetensors", "tokenizer.json", "tokenizer_config.json"],
            Directory.EnumerateFiles(step).Select(f => Path.GetFileName(f)).Order(StringComparer.Ordinal));
        var config = JsonNode.Parse(File.ReadAllText(Path.Combine(step, "config.json")))!;
        Assert.Equal(("llama", "float32", 32, 1e-5), (config["model_type"]!.GetValue<string>(), config["torch_dtype"]!.GetValue<string>(), config["hidden_size"]!.GetValue<int>(), config["rms_norm_eps"]!.GetValue<double>()));
        Assert.Equal(config["eos_token_id"]!.ToJsonString(), JsonNode.Parse(File.ReadAllText(Path.Combine(step, "generation_config.json")))!["eos_token_id"]!.ToJsonString());
        var folder = HuggingFaceFolder.Open(step, "path");
        Assert.Empty(folder.Problems);
        Assert.Contains("model.layers.0.self_attn.q_proj.weight", folder.Tensors.Keys);
        Assert.Equal("pt", Metadata(Path.Combine(step, "model.safetensors")));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_run_from_such_a_folder_goes_as_one_from_our_own_weights_to_the_bit(bool isFloat8)
    {
        IsFloat8 = isFloat8;
        Run(Leaves, "theirs");
        Run(Leaves with { LastSaveInHf = false }, "ours");
        var start = new CheckpointSection { Enable = true };
        var expected = Run(start with { InitialLoadPath = At("ours", $"step-{Steps}") }, "a");
        var actual = Run(start with { InitialLoadPath = At("theirs", $"step-{Steps}"), InitialLoadInHf = true }, "b");
        Assert.Equal(expected, actual);
        Assert.Contains(Logged, l => l.StartsWith($"Loaded the Hugging Face weights {At("theirs", $"step-{Steps}")} (", StringComparison.Ordinal));
        Assert.Equal(Weights("a"), Weights("b"));
    }

    [Fact]
    public void The_assets_folder_is_where_weights_are_without_a_path()
    {
        Run(Leaves, "run");
        var job = Job("next", new CheckpointSection { Enable = true, InitialLoadInHf = true });
        Run(job.Checkpoint, "next", config: job with { Model = job.Model with { HfAssetsPath = At("run", $"step-{Steps}") } });
        Assert.Contains(Logged, l => l.Contains("Hugging Face weights", StringComparison.Ordinal));
        Assert.Contains("model.hf_assets_path = '", Refused(job.Checkpoint, "none"), StringComparison.Ordinal);
        Assert.Contains("holds no Hugging Face weights: expected model.safetensors, or model.safetensors.index.json", Refused(job.Checkpoint, "none"), StringComparison.Ordinal);
    }

    [Fact]
    public void A_finished_run_is_not_gone_on_with_and_says_why()
    {
        Run(Leaves, "run");
        Assert.Contains("is the end of a finished run", Assert.Throws<TitanException>(() => Run(Leaves, "run")).Message, StringComparison.Ordinal);
        var more = Job("run", Leaves) is var job ? job with { Training = job.Training with { Steps = 2 * Steps } } : null;
        Assert.Contains("holds the weights alone, in Hugging Face's format, and cannot be resumed; resume an earlier one (checkpoint.load_step), or start from it in a new job.dump_folder with checkpoint.initial_load_path and checkpoint.initial_load_in_hf", Refused(Leaves, "run", more), StringComparison.Ordinal);
        Assert.Contains("in Hugging Face's format: load it with checkpoint.initial_load_in_hf = true", Refused(new() { Enable = true, InitialLoadPath = At("run", $"step-{Steps}") }, "next"), StringComparison.Ordinal);
    }

    [Fact]
    public void The_run_s_own_checkpoints_come_first()
    {
        Run(Leaves, "weights");
        Run(Full, "run", stop: 4);
        Run(Full with { InitialLoadInHf = true, InitialLoadPath = At("weights", $"step-{Steps}") }, "run");
        Assert.Contains(Warnings, w => w.StartsWith("checkpoint.initial_load_in_hf is not used", StringComparison.Ordinal));
        Assert.Contains(Warnings, w => w.StartsWith("checkpoint.initial_load_path is not used", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("wide", "config.json: hidden_size is 32, expected 64", "config.json: intermediate_size is 96, expected 192", "model.embed_tokens.weight is [2048, 32], expected [2048, 64]")]
    [InlineData("deep", "config.json: num_hidden_layers is 1, expected 2", "model.layers.1.self_attn.q_proj.weight is missing")]
    [InlineData("turned", "config.json: rope_theta is 500000.0, expected 1000.0")]
    public void Another_flavor_is_refused_before_the_model_takes_memory(string flavor, params string[] says)
    {
        Run(Leaves, "run");
        var checkpoint = new CheckpointSection { Enable = true, InitialLoadInHf = true, InitialLoadPath = At("run", $"step-{Steps}") };
        var job = Job("next", checkpoint);
        var error = Assert.Throws<TitanException>(() => Create(job with { Model = job.Model with { Flavor = flavor } }));
        Assert.StartsWith($"checkpoint.initial_load_path = '{At("run", $"step-{Steps}")}' cannot be loaded into llama3/{flavor}; its config.json is that of model.flavor = tiny:", error.Message, StringComparison.Ordinal);
        foreach (var line in says) Assert.Contains(line, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_export_dtype_says_is_what_is_written_and_bf16_comes_back_as_it_was()
    {
        Run(Leaves with { ExportDtype = "bfloat16" }, "run");
        var step = At("run", $"step-{Steps}");
        Assert.All(HuggingFaceFolder.Open(step, "path").Tensors.Values, t => Assert.Equal(ScalarType.BFloat16, t.Entry.Type));
        Assert.Contains("\"torch_dtype\": \"bfloat16\"", File.ReadAllText(Path.Combine(step, "config.json")), StringComparison.Ordinal);
    }

    private Dictionary<string, string> Weights(string run)
    {
        using var scope = NewDisposeScope();
        var opened = CheckpointStore.OpenFolder(At(run, $"step-{Steps}"));
        var targets = opened.Tensors("model.safetensors").Select(t => TensorPart.Whole(t.Key, zeros([.. t.Value.Shape], dtype: t.Value.Type))).ToList();
        opened.ReadInto("model.safetensors", targets);
        return targets.ToDictionary(t => t.Name, t => System.Convert.ToHexString(t.Tensor.bytes));
    }

    private static new string? Metadata(string file)
    {
        using var stream = File.OpenRead(file);
        using var reader = new BinaryReader(stream);
        return JsonNode.Parse(reader.ReadBytes((int)reader.ReadInt64()))!["__metadata__"]?["format"]?.GetValue<string>();
    }
}
