using System.Text.Json.Nodes;
using Titan.Abstractions;
using Titan.Training.Checkpoints;
using Titan.Training.HuggingFace;
using static TorchSharp.torch;

namespace Titan.Training.Tests.HuggingFace;

/// <summary>Folders that are not what they should be: each fault has its line, all come at once, and nothing is loaded.</summary>
public sealed class DamagedFolderTests : IDisposable
{
    private const string Index = HuggingFaceFolder.IndexName, Config = HuggingFaceFolder.ConfigName;

    private readonly TestFolder folder = new();
    private readonly List<string> warnings = [];

    public void Dispose() => folder.Dispose();

    private string Root => folder.At("run");

    [Fact]
    public void A_whole_folder_has_no_fault()
    {
        Make();
        Open();
        Assert.Empty(warnings);
    }

    [Theory]
    [InlineData("missing shard", "model-00002-of-00006.safetensors is missing")]
    [InlineData("truncated shard", "model-00002-of-00006.safetensors: it is cut off: its header describes ")]
    [InlineData("empty shard", "model-00002-of-00006.safetensors: ")]
    [InlineData("pointer", "it is a pointer of Git LFS, not the file itself: fetch it with 'git lfs pull'")]
    [InlineData("longer shard", "4 bytes belong to no tensor")]
    [InlineData("no index", "are shards, and model.safetensors.index.json, which says what is in which, is missing")]
    [InlineData("broken index", "model.safetensors.index.json is not readable: ")]
    [InlineData("index without map", "it has no object weight_map")]
    [InlineData("index to elsewhere", "'../model-00002-of-00006.safetensors', which is not in the folder")]
    [InlineData("index with a name twice", "model.safetensors.index.json is not readable: ")]
    [InlineData("index in another shard", "model.norm.weight is in model-00006-of-00006.safetensors by the index, and is in model-00001-of-00006.safetensors")]
    [InlineData("index of nothing", "model.nothing is in model-00002-of-00006.safetensors by the index, and is not in it")]
    [InlineData("tensor in two shards", "model.norm.weight is in model-00001-of-00006.safetensors and in model-00002-of-00006.safetensors")]
    [InlineData("broken config", "config.json is not readable: ")]
    [InlineData("config no object", "config.json is no JSON object")]
    [InlineData("config with a field twice", "config.json is not readable: ")]
    [InlineData("other fields", "config.json: hidden_size is 48, expected 32", "config.json: rope_theta is missing, which means 10000, expected 500000.0")]
    public void Its_fault_is_said(string fault, params string[] says)
    {
        Make();
        Damage(fault);
        var message = Refused();
        Assert.StartsWith($"key = '{Root}' cannot be loaded into llama3/small:", message, StringComparison.Ordinal);
        foreach (var line in says) Assert.Contains(line, message, StringComparison.Ordinal);
    }

    [Fact]
    public void Tensors_that_are_missing_misshapen_or_quantised_are_all_named_and_what_is_too_much_is_warned_of()
    {
        using var scope = NewDisposeScope();
        var tensors = HuggingFaceFolder.Open(Made(), "key").Tensors.ToDictionary(t => t.Key, t => SafetensorsFile.Read(t.Value.Path, t.Value.Entry));
        tensors.Remove("model.norm.weight");
        tensors["lm_head.weight"] = zeros(63, 32);
        tensors["model.layers.0.mlp.up_proj.weight"] = zeros(96, 32, dtype: ScalarType.Byte);
        tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = zeros(4);
        Rewrite(tensors);
        var lines = Refused().Split(Environment.NewLine)[1..];
        Assert.Equal(["  model.norm.weight is missing", "  lm_head.weight is [63, 32], expected [64, 32]", "  model.layers.0.mlp.up_proj.weight is U8 without scales; expected F32, BF16 or F16"], lines);

        (tensors["model.norm.weight"], tensors["lm_head.weight"], tensors["model.layers.0.mlp.up_proj.weight"]) = (zeros(32), zeros(64, 32), zeros(96, 32));
        Rewrite(tensors);
        Open();
        Assert.Contains("has 1 tensors that the flavor has no place for, and they are not loaded: model.layers.0.self_attn.rotary_emb.inv_freq", Assert.Single(warnings), StringComparison.Ordinal);
    }

    [Fact]
    public void Of_many_lines_the_first_are_shown_with_the_number_of_the_others()
    {
        using var scope = NewDisposeScope();
        Made();
        Rewrite(new() { ["model.norm.weight"] = zeros(32) });
        var lines = Refused().Split(Environment.NewLine)[1..];
        Assert.Equal(11, lines.Length);
        Assert.Equal("  ... and 19 more missing tensors", lines[^1]);
    }

    [Fact]
    public void Infinity_in_a_file_is_refused_by_name()
    {
        using var scope = NewDisposeScope();
        var weights = SmallFolder.Weights();
        weights[3].Tensor.view(-1)[5] = double.PositiveInfinity;
        SmallFolder.Write(Root, weights);
        var opened = Open();
        Assert.Contains($"{weights[3].Name} holds NaN or infinity", Assert.Throws<TitanException>(() => opened.Load(SmallFolder.Weights())).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("pytorch_model.bin", "holds no Hugging Face weights that are read here, but pytorch_model.bin: save them as safetensors")]
    [InlineData("README.md", "holds no Hugging Face weights: expected model.safetensors, or model.safetensors.index.json with its shards")]
    public void A_folder_with_other_files_says_what_was_expected(string file, string says)
    {
        Directory.CreateDirectory(Root);
        File.WriteAllText(Path.Combine(Root, file), "");
        Assert.Contains(says, Refused(), StringComparison.Ordinal);
    }

    [Fact]
    public void No_folder_and_a_file_are_said()
    {
        Assert.Contains("does not exist", Refused(), StringComparison.Ordinal);
        File.WriteAllText(Root, "");
        Assert.Contains("is a file", Refused(), StringComparison.Ordinal);
    }

    [Fact]
    public void Without_a_config_there_is_a_warning()
    {
        Make();
        File.Delete(Path.Combine(Root, Config));
        Open();
        Assert.Contains("has no config.json", Assert.Single(warnings), StringComparison.Ordinal);
    }

    private HuggingFaceWeights Open() => HuggingFaceWeights.Open(Root, "key", "llama3/small", SmallFolder.Format, warnings.Add);

    private string Refused()
    {
        var error = Assert.Throws<TitanException>(Open);
        Assert.Equal(ExitCode.Data, error.Code);
        return error.Message;
    }

    private string Made()
    {
        Make();
        return Root;
    }

    private void Make()
    {
        using var scope = NewDisposeScope();
        SmallFolder.Write(Root, SmallFolder.Weights());
    }

    /// <summary>One file with these tensors in place of the shards.</summary>
    private void Rewrite(Dictionary<string, Tensor> tensors)
    {
        foreach (var old in Directory.EnumerateFiles(Root, "model*")) File.Delete(old);
        SafetensorsFile.Write(Path.Combine(Root, HuggingFaceFolder.SingleName), [.. tensors.Select(t => (t.Key, t.Value))]);
    }

    private void Damage(string fault)
    {
        var shard = Path.Combine(Root, "model-00002-of-00006.safetensors");
        var bytes = File.ReadAllBytes(shard);
        switch (fault)
        {
            case "missing shard": File.Delete(shard); break;
            case "truncated shard": File.WriteAllBytes(shard, bytes[..^1000]); break;
            case "empty shard": File.WriteAllBytes(shard, []); break;
            case "pointer": File.WriteAllText(shard, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4\n"); break;
            case "longer shard": File.WriteAllBytes(shard, [.. bytes, 1, 2, 3, 4]); break;
            case "no index": File.Delete(Path.Combine(Root, Index)); break;
            case "broken index": File.WriteAllText(Path.Combine(Root, Index), "{"); break;
            case "index without map": File.WriteAllText(Path.Combine(Root, Index), "{}"); break;
            case "index to elsewhere": EditIndex(m => m["model.norm.weight"] = "../model-00002-of-00006.safetensors"); break;
            case "index with a name twice": File.WriteAllText(Path.Combine(Root, Index), """{"weight_map": {"a": "x", "a": "y"}}"""); break;
            case "index in another shard": EditIndex(m => m["model.norm.weight"] = "model-00006-of-00006.safetensors"); break;
            case "index of nothing": EditIndex(m => m["model.nothing"] = "model-00002-of-00006.safetensors"); break;
            case "tensor in two shards":
                using (var scope = NewDisposeScope())
                {
                    var tensors = SafetensorsFile.ReadHeader(shard).Select(e => (e.Key, SafetensorsFile.Read(shard, e.Value))).Append(("model.norm.weight", zeros(32))).ToList();
                    File.Delete(shard);
                    SafetensorsFile.Write(shard, tensors);
                }

                break;
            case "broken config": File.WriteAllText(Path.Combine(Root, Config), "{"); break;
            case "config no object": File.WriteAllText(Path.Combine(Root, Config), "[]"); break;
            case "config with a field twice": File.WriteAllText(Path.Combine(Root, Config), """{"a": 1, "a": 2}"""); break;
            case "other fields":
                var config = JsonNode.Parse(File.ReadAllText(Path.Combine(Root, Config)))!.AsObject();
                config["hidden_size"] = 48;
                config["rope_scaling"]!.AsObject()["factor"] = 8;
                config.Remove("rope_theta");
                config["rope_theta"] = null;
                File.WriteAllText(Path.Combine(Root, Config), config.ToJsonString());
                break;
            default: throw new ArgumentOutOfRangeException(nameof(fault));
        }
    }

    private void EditIndex(Action<JsonObject> edit)
    {
        var index = JsonNode.Parse(File.ReadAllText(Path.Combine(Root, Index)))!.AsObject();
        edit(index["weight_map"]!.AsObject());
        File.WriteAllText(Path.Combine(Root, Index), index.ToJsonString());
    }
}
