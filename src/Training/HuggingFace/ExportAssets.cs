using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Titan.Models;
using Titan.Training.Tokenizers;
using static TorchSharp.torch;

namespace Titan.Training.HuggingFace;

/// <summary>What an export has besides tensors: <c>config.json</c>, <c>generation_config.json</c>, and the tokenizer's files as the assets have them.</summary>
/// <param name="Texts">Files of text, by name.</param>
/// <param name="Copies">Files to copy, by name: where each is.</param>
internal sealed record ExportAssets(IReadOnlyDictionary<string, string> Texts, IReadOnlyDictionary<string, string> Copies)
{
    private const string Generation = "generation_config.json";

    // What transformers and tokenizers look for.
    private static readonly string[] TokenizerFiles =
    [
        "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "tokenizer.model", "vocab.json", "merges.txt", "chat_template.jinja", "chat_template.json", Generation,
    ];

    private static readonly JsonSerializerOptions Written = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Gathers the files.</summary>
    /// <param name="config">The flavor's configuration.</param>
    /// <param name="assets">A folder with a tokenizer; one that is missing, or holds none, brings nothing.</param>
    /// <param name="type">The dtype of the weights.</param>
    public static ExportAssets Of(HuggingFaceConfig config, string assets, ScalarType type)
    {
        var copies = TokenizerFiles.Select(f => (Name: f, Path: Path.Combine(assets, f))).Where(f => File.Exists(f.Path)).ToDictionary(f => f.Name, f => f.Path);
        var borders = new JsonObject();
        if (copies.ContainsKey("tokenizer.json"))
        {
            var tokenizer = HuggingFaceTokenizer.Load(assets);
            if (tokenizer.BosId is { } bos) borders["bos_token_id"] = bos;
            if (tokenizer.EosId is { } eos) borders["eos_token_id"] = eos;
        }

        var json = config.ToJson();
        foreach (var (name, id) in borders) json[name] = id!.DeepClone();
        json["torch_dtype"] = type switch { ScalarType.BFloat16 => "bfloat16", ScalarType.Float16 => "float16", _ => "float32" };
        var texts = new Dictionary<string, string> { [HuggingFaceFolder.ConfigName] = json.ToJsonString(Written) + "\n" };
        if (!copies.ContainsKey(Generation))
        {
            borders["_from_model_config"] = true;
            texts[Generation] = borders.ToJsonString(Written) + "\n";
        }

        return new ExportAssets(texts, copies);
    }

    /// <summary>The file of each tensor, as the index of the assets has it; null where there is none.</summary>
    public static IReadOnlyDictionary<string, string>? FilesOf(string assets)
    {
        var path = Path.Combine(assets, HuggingFaceFolder.IndexName);
        try
        {
            return File.Exists(path) && JsonNode.Parse(File.ReadAllBytes(path))?["weight_map"] is JsonObject map ? map.ToDictionary(m => m.Key, m => m.Value!.GetValue<string>()) : null;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or IOException)
        {
            // It only says how to cut the files.
            return null;
        }
    }
}
