using System.Security.Cryptography;
using System.Text.Json;
using System.Text.RegularExpressions;
using Microsoft.ML.Tokenizers;
using Titan.Abstractions;

namespace Titan.Training.Tokenizers;

/// <summary>A byte-level BPE tokenizer from a Hugging Face folder: <c>tokenizer.json</c>, and <c>tokenizer_config.json</c> for BOS and EOS.</summary>
public sealed class HuggingFaceTokenizer : ITokenizer
{
    /// <summary>GPT-2's pattern, which a ByteLevel pre-tokenizer implies.</summary>
    public const string Gpt2Pattern = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    private const long LargestFile = 64L << 20;

    private readonly BpeTokenizer tokenizer;

    private HuggingFaceTokenizer(BpeTokenizer tokenizer, int size, int? bos, int? eos, string hash) =>
        (this.tokenizer, VocabularySize, BosId, EosId, Hash) = (tokenizer, size, bos, eos, hash);

    /// <inheritdoc />
    public int VocabularySize { get; }

    /// <inheritdoc />
    public int? BosId { get; }

    /// <inheritdoc />
    public int? EosId { get; }

    /// <inheritdoc />
    public string Hash { get; }

    /// <summary>Loads the folder.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when it is missing, broken, or of a kind that is not served.</exception>
    public static HuggingFaceTokenizer Load(string folder)
    {
        var path = Path.Combine(folder, "tokenizer.json");
        if (!File.Exists(path))
            throw new TitanException(ExitCode.Data, $"model.hf_assets_path = '{folder}': there is no tokenizer.json; name a folder that holds one (the shipped one is assets/tokenizer)");
        try
        {
            if (new FileInfo(path).Length > LargestFile) throw Bad(path, "it is larger than 64 MB");
            var bytes = File.ReadAllBytes(path);
            using var document = JsonDocument.Parse(bytes);
            return Build(document.RootElement, path, ReadConfig(folder), System.Convert.ToHexStringLower(SHA256.HashData(bytes)));
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException or IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw Bad(path, e.Message, e);
        }
    }

    /// <inheritdoc />
    public IReadOnlyList<int> Encode(string text) => tokenizer.EncodeToIds(text, considerPreTokenization: true, considerNormalization: false);

    /// <inheritdoc />
    public string Decode(IEnumerable<int> ids) => tokenizer.Decode(ids, considerSpecialTokens: true);

    private static HuggingFaceTokenizer Build(JsonElement root, string path, IReadOnlyDictionary<string, string> config, string hash)
    {
        var model = root.GetProperty("model");
        if (model.TryGetProperty("type", out var type) && type.GetString() != "BPE") throw Bad(path, $"its model is {type.GetString()}; byte-level BPE is served");
        var vocabulary = model.GetProperty("vocab").EnumerateObject().Select(p => KeyValuePair.Create(p.Name, p.Value.GetInt32())).ToList();
        var merges = model.GetProperty("merges").EnumerateArray()
            .Select(m => m.ValueKind == JsonValueKind.String ? m.GetString()! : $"{m[0].GetString()} {m[1].GetString()}").ToList();
        if (merges.Count == 0) throw Bad(path, "it has no merges, so it is no byte-level BPE tokenizer");
        var special = new Dictionary<string, int>();
        if (root.TryGetProperty("added_tokens", out var added))
            foreach (var token in added.EnumerateArray()) special[token.GetProperty("content").GetString()!] = token.GetProperty("id").GetInt32();

        var pattern = Pattern(root, path);
        var tokenizer = BpeTokenizer.Create(new BpeOptions(vocabulary.Concat(special.Where(s => vocabulary.All(v => v.Key != s.Key))))
        {
            Merges = merges,
            ByteLevel = true,
            SpecialTokens = special,
            PreTokenizer = new RegexPreTokenizer(new Regex(pattern, RegexOptions.CultureInvariant, TimeSpan.FromSeconds(10)), special),
        });
        var size = vocabulary.Select(v => v.Value).Concat(special.Values).Max() + 1;
        return new HuggingFaceTokenizer(tokenizer, size, Id("bos_token", "<|begin_of_text|>"), Id("eos_token", "<|end_of_text|>"), hash);

        int? Id(string role, string usual)
        {
            var name = config.GetValueOrDefault(role, usual);
            if (special.TryGetValue(name, out var id)) return id;
            return vocabulary.FirstOrDefault(v => v.Key == name) is { Key: not null } found ? found.Value : null;
        }
    }

    /// <summary>The pattern that splits text before merging: of a Split step, else GPT-2's.</summary>
    private static string Pattern(JsonElement root, string path)
    {
        if (!root.TryGetProperty("pre_tokenizer", out var pre) || pre.ValueKind == JsonValueKind.Null) throw Bad(path, "it has no pre_tokenizer; a byte-level one is expected");
        var steps = pre.GetProperty("type").GetString() == "Sequence" ? pre.GetProperty("pretokenizers").EnumerateArray().ToList() : [pre];
        string? pattern = null;
        var byteLevel = false;
        foreach (var step in steps)
        {
            switch (step.GetProperty("type").GetString())
            {
                case "Split":
                    pattern = step.GetProperty("pattern").GetProperty("Regex").GetString();
                    break;
                case "ByteLevel":
                    byteLevel = true;
                    if (!step.TryGetProperty("use_regex", out var use) || use.GetBoolean()) pattern ??= Gpt2Pattern;
                    break;
                case var other:
                    throw Bad(path, $"its pre_tokenizer '{other}' is not served; Split and ByteLevel are");
            }
        }

        if (!byteLevel) throw Bad(path, "its pre_tokenizer is not byte level");
        return pattern ?? throw Bad(path, "its pre_tokenizer has no pattern");
    }

    private static Dictionary<string, string> ReadConfig(string folder)
    {
        var path = Path.Combine(folder, "tokenizer_config.json");
        var result = new Dictionary<string, string>();
        if (!File.Exists(path)) return result;
        using var document = JsonDocument.Parse(File.ReadAllBytes(path));
        foreach (var role in new[] { "bos_token", "eos_token" })
        {
            if (!document.RootElement.TryGetProperty(role, out var token)) continue;
            if (token.ValueKind == JsonValueKind.Object) token = token.GetProperty("content");
            if (token.ValueKind == JsonValueKind.String) result[role] = token.GetString()!;
        }

        return result;
    }

    private static TitanException Bad(string path, string why, Exception? inner = null) =>
        new(ExitCode.Data, $"tokenizer '{path}' cannot be used: {why}", inner);
}
