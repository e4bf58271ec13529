using System.Text.Json.Nodes;
using Titan.Training.Tokenizers;

namespace Titan.Training.Tests.Tokenizers;

/// <summary>A small tokenizer.json: the 256 bytes, the merges that are given, special tokens.</summary>
internal static class TokenizerFile
{
    public const string Llama3Pattern =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    public static JsonObject Make(string[] merges, params string[] special)
    {
        var symbols = BpeTrainer.ByteSymbols.Select(s => s.ToString()).Concat(merges.Select(m => m.Replace(" ", ""))).Distinct().ToList();
        return new JsonObject
        {
            ["added_tokens"] = new JsonArray([.. special.Select((s, i) => new JsonObject { ["id"] = symbols.Count + i, ["content"] = s })]),
            ["normalizer"] = null,
            ["pre_tokenizer"] = new JsonObject { ["type"] = "ByteLevel", ["add_prefix_space"] = false, ["use_regex"] = true },
            ["model"] = new JsonObject
            {
                ["type"] = "BPE",
                ["vocab"] = new JsonObject(symbols.Select((s, i) => KeyValuePair.Create(s, (JsonNode?)i))),
                ["merges"] = new JsonArray([.. merges.Select(m => JsonValue.Create(m))]),
            },
        };
    }

    /// <summary>With the steps that Llama 3's file has.</summary>
    public static JsonObject SplitAsLlama3(this JsonObject file)
    {
        file["pre_tokenizer"] = new JsonObject
        {
            ["type"] = "Sequence",
            ["pretokenizers"] = new JsonArray(
                new JsonObject { ["type"] = "Split", ["pattern"] = new JsonObject { ["Regex"] = Llama3Pattern }, ["behavior"] = "Isolated", ["invert"] = false },
                new JsonObject { ["type"] = "ByteLevel", ["add_prefix_space"] = false, ["trim_offsets"] = true, ["use_regex"] = false }),
        };
        return file;
    }

    public static HuggingFaceTokenizer Load(this JsonObject file, TestFolder folder, string? config = null)
    {
        folder.Write("tokenizer.json", file.ToJsonString());
        if (config is not null) folder.Write("tokenizer_config.json", config);
        return HuggingFaceTokenizer.Load(folder.Path);
    }
}
