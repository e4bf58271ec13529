using System.Security.Cryptography;
using System.Text;
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
    private readonly IReadOnlyDictionary<string, int>? wholeWords;

    private HuggingFaceTokenizer(BpeTokenizer tokenizer, IReadOnlyDictionary<string, int>? wholeWords, int size, int? bos, int? eos, string hash) =>
        (this.tokenizer, this.wholeWords, VocabularySize, BosId, EosId, Hash) = (tokenizer, wholeWords, size, bos, eos, hash);

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
        var config = Path.Combine(folder, "tokenizer_config.json");
        var names = Guard(config, () => File.Exists(config) ? ReadConfig(config) : []);
        return Guard(path, () =>
        {
            if (new FileInfo(path).Length > LargestFile) throw Bad(path, "it is larger than 64 MB");
            var bytes = File.ReadAllBytes(path);
            using var document = JsonDocument.Parse(bytes);
            return Build(document.RootElement, path, names, bytes);
        });
    }

    /// <inheritdoc />
    public IReadOnlyList<int> Encode(string text)
    {
        if (wholeWords is null) return tokenizer.EncodeToIds(text, considerPreTokenization: true, considerNormalization: false);
        var ids = new List<int>();
        foreach (var (offset, length) in tokenizer.PreTokenizer!.PreTokenize(text))
        {
            var word = text.Substring(offset, length);
            if (tokenizer.SpecialTokens!.TryGetValue(word, out var id) || wholeWords.TryGetValue(Symbols(word), out id)) ids.Add(id);
            else ids.AddRange(tokenizer.EncodeToIds(word, considerPreTokenization: false, considerNormalization: false));
        }

        return ids;
    }

    /// <inheritdoc />
    public string Decode(IEnumerable<int> ids) => tokenizer.Decode(ids, considerSpecialTokens: true);

    /// <summary>A word's bytes in the characters that stand for them.</summary>
    private static string Symbols(string word) => string.Concat(Encoding.UTF8.GetBytes(word).Select(b => BpeTrainer.ByteSymbols[b]));

    private static HuggingFaceTokenizer Build(JsonElement root, string path, IReadOnlyDictionary<string, string> names, byte[] bytes)
    {
        var model = Required(root, "model", path);
        if (model.TryGetProperty("type", out var type) && type.GetString() != "BPE") throw Bad(path, $"its model is {type.GetString()}; byte-level BPE is served");
        if (root.TryGetProperty("normalizer", out var normalizer) && normalizer.ValueKind != JsonValueKind.Null) throw Bad(path, "it has a normalizer; none is served");
        var vocabulary = Required(model, "vocab", path).EnumerateObject().ToDictionary(p => p.Name, p => p.Value.GetInt32(), StringComparer.Ordinal);
        var merges = Required(model, "merges", path).EnumerateArray()
            .Select(m => m.ValueKind == JsonValueKind.String ? m.GetString()! : $"{m[0].GetString()} {m[1].GetString()}").ToList();
        if (merges.Count == 0) throw Bad(path, "it has no merges, so it is no byte-level BPE tokenizer");
        if (BpeTrainer.ByteSymbols.FirstOrDefault(s => !vocabulary.ContainsKey(s.ToString())) is var lacking and not '\0')
            throw Bad(path, $"its vocabulary has no '{lacking}', so text with that byte would be lost; a byte-level one has all 256");
        var special = new Dictionary<string, int>(StringComparer.Ordinal);
        if (root.TryGetProperty("added_tokens", out var added))
            foreach (var token in added.EnumerateArray()) special[Required(token, "content", path).GetString()!] = Required(token, "id", path).GetInt32();
        var all = new Dictionary<string, int>(vocabulary, StringComparer.Ordinal);
        foreach (var (token, id) in special)
            if (!all.TryAdd(token, id) && all[token] != id) throw Bad(path, $"'{token}' has the ids {all[token]} and {id}");
        if (all.Values.Min() < 0 || all.Values.Max() == int.MaxValue) throw Bad(path, "an id is out of range");
        if (all.GroupBy(t => t.Value).FirstOrDefault(g => g.Count() > 1) is { } twice)
            throw Bad(path, $"id {twice.Key} belongs to both {string.Join(" and ", twice.Take(2).Select(t => $"'{t.Key}'"))}");

        var pattern = Pattern(root, path);
        var tokenizer = BpeTokenizer.Create(new BpeOptions(all)
        {
            Merges = merges,
            ByteLevel = true,
            SpecialTokens = special,
            PreTokenizer = new RegexPreTokenizer(new Regex(pattern, RegexOptions.CultureInvariant, TimeSpan.FromSeconds(10)), special),
        });
        // Llama 3's vocabulary has words that no merge leads to; with ignore_merges they are taken whole.
        var whole = model.TryGetProperty("ignore_merges", out var ignore) && ignore.GetBoolean() ? vocabulary : null;
        int? bos = Id("bos_token", "<|begin_of_text|>"), eos = Id("eos_token", "<|end_of_text|>");
        var hash = SHA256.HashData([.. bytes, .. Encoding.ASCII.GetBytes($"{bos},{eos}")]);
        return new HuggingFaceTokenizer(tokenizer, whole, all.Values.Max() + 1, bos, eos, System.Convert.ToHexStringLower(hash));

        int? Id(string role, string usual)
        {
            var named = names.TryGetValue(role, out var name);
            if (all.TryGetValue(name ?? usual, out var id)) return id;
            return named ? throw Bad(path, $"tokenizer_config.json names '{name}' as {role}, which it does not have") : null;
        }
    }

    /// <summary>The pattern that splits text before merging: of a Split step, else GPT-2's.</summary>
    private static string Pattern(JsonElement root, string path)
    {
        if (!root.TryGetProperty("pre_tokenizer", out var pre) || pre.ValueKind == JsonValueKind.Null) throw Bad(path, "it has no pre_tokenizer; a byte-level one is expected");
        var steps = Required(pre, "type", path).GetString() == "Sequence" ? Required(pre, "pretokenizers", path).EnumerateArray().ToList() : [pre];
        string? pattern = null;
        var byteLevel = false;
        foreach (var step in steps)
        {
            switch (Required(step, "type", path).GetString())
            {
                case "Split":
                    if (pattern is not null) throw Bad(path, "its pre_tokenizer splits more than once; one Split is served");
                    if (step.TryGetProperty("behavior", out var behavior) && behavior.GetString() != "Isolated") throw Bad(path, $"its Split is {behavior.GetString()}; Isolated is served");
                    if (step.TryGetProperty("invert", out var invert) && invert.GetBoolean()) throw Bad(path, "its Split is inverted, which is not served");
                    pattern = Required(Required(step, "pattern", path), "Regex", path).GetString();
                    break;
                case "ByteLevel":
                    byteLevel = true;
                    if (step.TryGetProperty("add_prefix_space", out var prefix) && prefix.GetBoolean()) throw Bad(path, "its pre_tokenizer has add_prefix_space, which is not served");
                    if (!step.TryGetProperty("use_regex", out var use) || use.GetBoolean()) pattern ??= Gpt2Pattern;
                    break;
                case var other:
                    throw Bad(path, $"its pre_tokenizer '{other}' is not served; Split and ByteLevel are");
            }
        }

        if (!byteLevel) throw Bad(path, "its pre_tokenizer is not byte level");
        return pattern ?? throw Bad(path, "its pre_tokenizer has no pattern");
    }

    private static Dictionary<string, string> ReadConfig(string path)
    {
        var result = new Dictionary<string, string>();
        using var document = JsonDocument.Parse(File.ReadAllBytes(path));
        foreach (var role in new[] { "bos_token", "eos_token" })
        {
            if (!document.RootElement.TryGetProperty(role, out var token)) continue;
            if (token.ValueKind == JsonValueKind.Object) token = Required(token, "content", path);
            if (token.ValueKind == JsonValueKind.String) result[role] = token.GetString()!;
        }

        return result;
    }

    private static JsonElement Required(JsonElement parent, string name, string path) =>
        parent.ValueKind == JsonValueKind.Object && parent.TryGetProperty(name, out var value) ? value : throw Bad(path, $"it lacks \"{name}\"");

    /// <summary>What a file of the right name and the wrong content makes the readers throw.</summary>
    private static T Guard<T>(string path, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (JsonException e)
        {
            throw Bad(path, $"it is not valid JSON (line {e.LineNumber + 1})", e);
        }
        catch (Exception e) when (e is InvalidOperationException or FormatException or IndexOutOfRangeException or IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw Bad(path, e.Message, e);
        }
    }

    private static TitanException Bad(string path, string why, Exception? inner = null) =>
        new(ExitCode.Data, $"tokenizer '{path}' cannot be used: {why}; set model.hf_assets_path to another folder (the shipped one is assets/tokenizer)", inner);
}
