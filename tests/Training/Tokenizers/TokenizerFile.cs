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
            ["version"] = "1.0",
            ["truncation"] = null,
            ["padding"] = null,
            ["added_tokens"] = new JsonArray([.. special.Select((s, i) => Added(symbols.Count + i, s))]),
            ["normalizer"] = null,
            ["pre_tokenizer"] = ByteLevel(),
            ["post_processor"] = null,
            ["decoder"] = null,
            ["model"] = new JsonObject
            {
                ["type"] = "BPE",
                ["dropout"] = null,
                ["unk_token"] = null,
                ["continuing_subword_prefix"] = "",
                ["end_of_word_suffix"] = "",
                ["fuse_unk"] = false,
                ["byte_fallback"] = false,
                ["ignore_merges"] = false,
                ["vocab"] = new JsonObject(symbols.Select((s, i) => KeyValuePair.Create(s, (JsonNode?)i))),
                ["merges"] = new JsonArray([.. merges.Select(m => JsonValue.Create(m))]),
            },
        };
    }

    /// <summary>A file of characters that fall back to bytes, as SentencePiece's are: the 256 bytes, characters, the merges that are given.</summary>
    public static JsonObject MakeCharacters(string[] merges, string characters, params string[] special)
    {
        var file = Make([], special);
        List<string> symbols = ["<unk>", .. Enumerable.Range(0, 256).Select(b => $"<0x{b:X2}>"), .. characters.EnumerateRunes().Select(r => r.ToString()), .. merges.Select(m => m.Replace(" ", ""))];
        symbols = [.. symbols.Distinct()];
        var model = file["model"]!;
        model["vocab"] = new JsonObject(symbols.Select((s, i) => KeyValuePair.Create(s, (JsonNode?)i)));
        model["merges"] = new JsonArray([.. merges.Select(m => JsonValue.Create(m))]);
        (model["byte_fallback"], model["fuse_unk"], model["unk_token"]) = (true, true, "<unk>");
        file["pre_tokenizer"] = null;
        file["added_tokens"] = new JsonArray([.. special.Select((s, i) => Added(symbols.Count + i, s))]);
        return file;
    }

    public static JsonObject Metaspace(string scheme, bool split) => new() { ["type"] = "Metaspace", ["replacement"] = "▁", ["prepend_scheme"] = scheme, ["split"] = split };

    /// <summary>With the normalizer of Llama 2's file.</summary>
    public static JsonObject SpacedAsLlama2(this JsonObject file)
    {
        file["normalizer"] = JsonNode.Parse("""{"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}""");
        return file;
    }

    public static JsonObject Added(int id, string content, bool singleWord = false, bool left = false, bool right = false, bool normalized = false, bool special = true) => new()
    {
        ["id"] = id,
        ["content"] = content,
        ["single_word"] = singleWord,
        ["lstrip"] = left,
        ["rstrip"] = right,
        ["normalized"] = normalized,
        ["special"] = special,
    };

    public static JsonObject ByteLevel(bool prefix = false, bool regex = true) => new() { ["type"] = "ByteLevel", ["add_prefix_space"] = prefix, ["trim_offsets"] = true, ["use_regex"] = regex };

    public static JsonObject Split(string pattern, string behavior = "Isolated", bool invert = false, string kind = "Regex") =>
        new() { ["type"] = "Split", ["pattern"] = new JsonObject { [kind] = pattern }, ["behavior"] = behavior, ["invert"] = invert };

    public static JsonObject With(this JsonObject file, params JsonObject[] steps)
    {
        file["pre_tokenizer"] = new JsonObject { ["type"] = "Sequence", ["pretokenizers"] = new JsonArray([.. steps]) };
        return file;
    }

    /// <summary>With the steps that Llama 3's file has.</summary>
    public static JsonObject SplitAsLlama3(this JsonObject file) => file.With(Split(Llama3Pattern), ByteLevel(regex: false));

    public static HuggingFaceTokenizer Load(this JsonObject file, TestFolder folder, string? config = null)
    {
        folder.Write("tokenizer.json", file.ToJsonString());
        if (config is not null) folder.Write("tokenizer_config.json", config);
        return HuggingFaceTokenizer.Load(folder.Path);
    }
}
