using System.Text.Json;
using TorchSharp.Modules;
using Titan.Abstractions;
using Titan.Distributed;
using Titan.Models;
using Titan.Models.Llama3;
using Titan.Plugins.Lora;
using Titan.Training.Adapters;
using Titan.Training.Checkpoints;
using static TorchSharp.torch;

namespace Titan.Training.Tests.Adapters;

/// <summary>Low-rank adapters leave a run as PEFT's files, or inside the weights.</summary>
public sealed class AdapterExportTests : IDisposable
{
    private const int Heads = 4, HeadDimension = 8;

    private static readonly Llama3Args Args = new(Heads * HeadDimension, 2, Heads, 2, 64, MultipleOf: 32);

    private readonly TestFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void The_files_make_of_hugging_faces_weights_those_of_the_merged_model()
    {
        using var scope = NewDisposeScope();
        var (model, adapters) = Adapted("layers.*");
        var parameters = ModelParameters.Of(model);
        var path = folder.At("adapter");
        Assert.True(Export(adapters, parameters, Args.Flavor.HuggingFace!()).Save(path));
        var saved = Read(Path.Combine(path, "adapter_model.safetensors"));
        Assert.Equal(2 * 2 * 7, saved.Count);
        foreach (var (fqn, module, heads) in (IEnumerable<(string, string, int)>)
            [("layers.0.attention.wq", "model.layers.0.self_attn.q_proj", Heads), ("layers.1.attention.wk", "model.layers.1.self_attn.k_proj", 2), ("layers.1.feed_forward.w2", "model.layers.1.mlp.down_proj", 0)])
        {
            Tensor Of(string name) => parameters.First(p => p.Fqn == $"{fqn}.{name}").Parameter.detach();
            var a = saved[$"base_model.model.{module}.lora_A.weight"];
            var b = saved[$"base_model.model.{module}.lora_B.weight"];
            Assert.Equal([4, Of("weight").shape[1]], a.shape);
            Assert.Equal([Of("weight").shape[0], 4], b.shape);
            // lora_alpha / r = 6 / 4.
            var theirs = Rotated(Of("weight"), heads) + 1.5 * b.matmul(a);
            var ours = Rotated(Of("weight") + 1.5 * Of("lora_b.weight").matmul(Of("lora_a.weight")), heads);
            Assert.True((theirs - ours).abs().max().item<float>() <= 1e-6, fqn);
        }
    }

    [Theory]
    [InlineData("layers.*", "down_proj,gate_proj,k_proj,o_proj,q_proj,up_proj,v_proj")]
    [InlineData("wq,layers.1.attention.wv", "model.layers.1.self_attn.v_proj,q_proj")]
    [InlineData("output", "lm_head")]
    public void The_configuration_names_the_modules_that_have_adapters(string targets, string expected)
    {
        using var scope = NewDisposeScope();
        var (model, adapters) = Adapted(targets.Split(','));
        var path = folder.At("adapter");
        Directory.CreateDirectory(path);
        File.WriteAllText(Path.Combine(path, "stale"), "");
        Export(adapters, ModelParameters.Of(model), Args.Flavor.HuggingFace!()).Save(path);
        Assert.Equal(["adapter_config.json", "adapter_model.safetensors"], Directory.EnumerateFiles(path).Select(f => Path.GetFileName(f)).Order());
        Assert.Single(Directory.EnumerateFileSystemEntries(Path.GetDirectoryName(path)!));
        using var config = JsonDocument.Parse(File.ReadAllText(Path.Combine(path, "adapter_config.json")));
        string Text(string key) => config.RootElement.GetProperty(key).GetRawText();
        Assert.Equal(expected, string.Join(',', config.RootElement.GetProperty("target_modules").EnumerateArray().Select(t => t.GetString()).Order(StringComparer.Ordinal)));
        Assert.Equal(("\"LORA\"", "\"CAUSAL_LM\"", "4", "6", "\"none\"", "false", "\"base\""),
            (Text("peft_type"), Text("task_type"), Text("r"), Text("lora_alpha"), Text("bias"), Text("fan_in_fan_out"), Text("base_model_name_or_path")));
    }

    [Fact]
    public void Merged_into_the_weights_they_make_the_same_model_without_them()
    {
        using var scope = NewDisposeScope();
        var (model, adapters) = Adapted("layers.*");
        var parameters = ModelParameters.Of(model);
        var merged = Export(adapters, parameters, null).Merge([.. parameters.Select(p => new TensorPart(p.Fqn, p.Parameter, p.Layout))]);
        var plain = Args.Build(new ModelContext(16, CPU, ScalarType.Float32));
        var of = merged.ToDictionary(m => m.Name, m => m.Tensor);
        using (no_grad())
            foreach (var (name, parameter) in plain.named_parameters().ToList()) parameter.copy_(of[name]);
        Assert.Equal(plain.named_parameters().Count(), merged.Count);
        plain.SetComputeType(ScalarType.Float32);
        var tokens = arange(16, dtype: ScalarType.Int64).reshape(1, 16);
        Tensor one = plain.call(tokens), two = model.call(tokens);
        Assert.True((one - two).abs().max().item<float>() <= 1e-5 * one.abs().max().item<float>());
        Assert.True(one.ne(0).any().item<bool>());
    }

    [Fact]
    public void Ranks_that_hold_parts_merge_and_save_what_one_rank_does()
    {
        using var scope = NewDisposeScope();
        var (model, adapters) = Adapted("wq", "w2");
        var whole = ModelParameters.Of(model);
        var one = Export(adapters, whole, Args.Flavor.HuggingFace!());
        one.Save(folder.At("one"));
        var merged = one.Merge([.. whole.Select(p => new TensorPart(p.Fqn, p.Parameter, p.Layout))]);
        // The first dimension over two ranks, unevenly, and A of w2 by columns.
        var ranks = Parallelism.Tests.ThreadRanks.Run(2, group =>
        {
            var parts = whole.Select(p => Part(p, group.Rank)).ToList();
            var export = new AdapterExport(adapters, parts, Args.Flavor.HuggingFace!(), "base", group, _ => { });
            export.Save(folder.At("two"));
            return export.Merge([.. parts.Select(p => new TensorPart(p.Fqn, p.Parameter, p.Layout))]);
        });
        Assert.Equal(File.ReadAllBytes(folder.At("one", "adapter_model.safetensors")), File.ReadAllBytes(folder.At("two", "adapter_model.safetensors")));
        foreach (var part in ranks.SelectMany(r => r))
            Assert.True((part.Layout.Of(merged.First(m => m.Name == part.Name).Tensor) - part.Tensor).abs().max().item<float>() <= 1e-6, part.Name);

        static ModelParameter Part(ModelParameter p, int rank)
        {
            using var none = no_grad();
            var dimension = p.Fqn.EndsWith("w2.lora_a.weight", StringComparison.Ordinal) ? 1 : 0;
            var (size, cut) = (p.Layout.Shape[dimension], p.Layout.Shape[dimension] / 2 + 1);
            var layout = rank == 0 ? p.Layout.Narrow(dimension, 0, cut) : p.Layout.Narrow(dimension, cut, size - cut);
            return new ModelParameter(p.Fqn, new Parameter(layout.Of(p.Parameter).clone()), layout, 1);
        }
    }

    [Fact]
    public void What_peft_has_no_names_for_is_said_before_training()
    {
        using var scope = NewDisposeScope();
        var (model, adapters) = Adapted("wq");
        var warnings = new List<string>();
        var export = new AdapterExport(adapters, ModelParameters.Of(model), null, null, new SingleRankGroup("world"), warnings.Add);
        Assert.Contains("not in PEFT's format: the model's family says no Hugging Face names", Assert.Single(warnings), StringComparison.Ordinal);
        Assert.False(export.Save(folder.At("adapter")));
        Assert.False(Directory.Exists(folder.At("adapter")));
    }

    [Theory]
    [InlineData("[]", null)]
    [InlineData("""[{"Weight": "w", "A": "a", "B": "b", "Rank": 2, "Alpha": 4}]""", null)]
    [InlineData("""[{"Weight": "w", "A": "a", "B": "b", "Rank": 3, "Alpha": 4}]""", "'w' has no A [3, K] and B [N, 3] beside it")]
    [InlineData("""[{"Weight": "x", "A": "a", "B": "b", "Rank": 2, "Alpha": 4}]""", "'x' has no A")]
    [InlineData("""[{"Weight": "w", "A": "a", "B": "b", "Rank": 0, "Alpha": 4}]""", "'w' has no A")]
    [InlineData("""[{"Weight": "w", "A": "a", "B": "b", "Rank": 2, "Alpha": 4}, {"Weight": "w", "A": "a", "B": "b", "Rank": 2, "Alpha": 4}]""", "are not what this program saves there")]
    [InlineData("""[{"Weight": "w"}]""", "are not what this program saves there")]
    [InlineData("[null]", "are not what this program saves there")]
    [InlineData("null", "are not what this program saves there")]
    [InlineData("x", "are not what this program saves there")]
    public void What_a_checkpoint_says_of_its_adapters_is_believed_only_where_it_fits_the_tensors(string text, string? fault)
    {
        StoredTensor Of(params long[] shape) => new(ScalarType.Float32, shape, []);
        var stored = new Dictionary<string, StoredTensor> { ["w"] = Of(5, 7), ["a"] = Of(2, 7), ["b"] = Of(5, 2) };
        var metadata = new Dictionary<string, string> { [StoredAdapters.Key] = text };
        if (fault is null) Assert.Equal(text == "[]" ? 0 : 2, StoredAdapters.Of(metadata, stored).Names.Count);
        else
        {
            var error = Assert.Throws<TitanException>(() => StoredAdapters.Of(metadata, stored));
            Assert.Equal(ExitCode.Data, error.Code);
            Assert.Contains(fault, error.Message, StringComparison.Ordinal);
        }
    }

    private static AdapterExport Export(IReadOnlyList<LowRankAdapter> adapters, IReadOnlyList<ModelParameter> parameters, HuggingFaceFormat? format) =>
        new(adapters, parameters, format, "base", new SingleRankGroup("world"), _ => { });

    /// <summary>A model with adapters that are not zero.</summary>
    private static (LanguageModel Model, IReadOnlyList<LowRankAdapter> Adapters) Adapted(params string[] targets)
    {
        var model = Args.Build(new ModelContext(16, CPU, ScalarType.Float32));
        var conversion = new LoraConverter().Convert(new ModelSlots(model), new LoraOptions { Rank = 4, Alpha = 6, TargetModules = targets }, new ConversionContext(DeviceCapability.Cpu, false, new ParallelDimensions()));
        ModelParameters.Materialize(model, CPU);
        manual_seed(5);
        using (no_grad())
            foreach (var (_, parameter) in model.named_parameters().ToList()) nn.init.normal_(parameter, 0, 0.1);
        model.SetComputeType(ScalarType.Float32);
        return (model, conversion.Adapters);
    }

    /// <summary>Hugging Face's order of the rows of a projection onto heads that are rotated; 0 heads for one that is not.</summary>
    private static Tensor Rotated(Tensor w, int heads) => heads == 0 ? w : w.reshape(heads, HeadDimension / 2, 2, -1).transpose(1, 2).reshape(w.shape);

    private static Dictionary<string, Tensor> Read(string path) => SafetensorsFile.ReadHeader(path).ToDictionary(e => e.Key, e => SafetensorsFile.Read(path, e.Value));
}
