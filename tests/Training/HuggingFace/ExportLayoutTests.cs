using System.Text.Json.Nodes;
using Titan.Abstractions;
using Titan.Training.Checkpoints;
using Titan.Training.HuggingFace;
using static TorchSharp.torch;

namespace Titan.Training.Tests.HuggingFace;

/// <summary>How an export is cut into files.</summary>
public sealed class ExportLayoutTests
{
    private static readonly (string, IReadOnlyList<long>, ScalarType)[] Three = [("a", [10, 10], ScalarType.Float32), ("b", [10], ScalarType.BFloat16), ("c", [200], ScalarType.Float32)];

    [Fact]
    public void Files_are_filled_up_to_their_size_and_a_larger_tensor_has_one_of_its_own()
    {
        var layout = ExportLayout.Make(Three, largest: 420);
        Assert.Equal(["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"], layout.Files.Select(f => f.Name));
        Assert.Equal(layout.Places["a"].File, layout.Places["b"].File);
        var index = JsonNode.Parse(layout.Index!)!;
        Assert.Equal(400 + 20 + 800, index["metadata"]!["total_size"]!.GetValue<long>());
        Assert.Equal("model-00002-of-00002.safetensors", index["weight_map"]!["c"]!.GetValue<string>());
        Assert.All(layout.Files, f => Assert.Equal(0, f.Header.Length % 8));
    }

    [Fact]
    public void One_file_has_the_plain_name_and_no_index()
    {
        var layout = ExportLayout.Make(Three);
        Assert.Equal("model.safetensors", Assert.Single(layout.Files).Name);
        Assert.Null(layout.Index);
    }

    [Fact]
    public void The_files_of_the_assets_are_kept_without_those_that_would_be_empty()
    {
        var layout = ExportLayout.Make(Three, new Dictionary<string, string> { ["a"] = "model-00003-of-00009.safetensors", ["b"] = "model-00001-of-00009.safetensors", ["c"] = "model-00003-of-00009.safetensors", ["tied"] = "model-00009-of-00009.safetensors" });
        Assert.Equal(2, layout.Files.Count);
        Assert.Equal("model-00001-of-00002.safetensors", layout.Places["b"].File.Name);
        Assert.Equal(layout.Places["a"].File, layout.Places["c"].File);
    }

    [Fact]
    public void A_tensor_without_a_place_and_one_that_would_not_be_whole_are_named_together()
    {
        using var scope = NewDisposeScope();
        var weights = SmallFolder.Weights().Where(w => w.Name != "norm.weight").Select(w => (w.Name, w.Layout.GlobalShape, ScalarType.Float32)).Append(("layers.0.attention.wq.lora_a.weight", [8, 32], ScalarType.Float32)).ToList();
        var message = Assert.Throws<TitanException>(() => ExportPlan.Of(SmallFolder.Format, weights)).Message;
        Assert.Contains("tensor 'layers.0.attention.wq.lora_a.weight' has no place", message, StringComparison.Ordinal);
        Assert.Contains("'model.norm.weight' would lack 32 of its 32 elements", message, StringComparison.Ordinal);
    }
}
