using System.Text.Json;
using Titan.Abstractions;
using Titan.Training.Files;
using Titan.Training.Tokenizers.Normalizing;
using Titan.Training.Tokenizers.Patterns;
using Titan.Training.Tokenizers.PreTokenizing;

namespace Titan.Training.Tokenizers;

/// <summary>
/// Reads the parts of a <c>tokenizer.json</c>. What changes how text becomes tokens is honoured or refused by name, never passed over.
/// </summary>
/// <param name="path">The file, for messages.</param>
internal sealed class TokenizerReader(string path)
{
    private const int LongestAddedToken = 4096;

    /// <summary>Reads a file as JSON.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when it is no regular file, too large, or no JSON.</exception>
    public T Read<T>(int largest, Func<JsonElement, byte[], T> read)
    {
        try
        {
            var bytes = RegularFile.ReadAllBytes(path, largest);
            using var document = JsonDocument.Parse(bytes);
            return read(document.RootElement, bytes);
        }
        catch (JsonException e)
        {
            throw Bad($"it is not valid JSON (line {e.LineNumber + 1})", e);
        }
        catch (Exception e) when (e is InvalidOperationException or FormatException or IOException or UnauthorizedAccessException or ArgumentException
            or PatternException)
        {
            throw Bad(e.Message, e);
        }
    }

    /// <summary>The vocabulary and the merges.</summary>
    /// <param name="root">The file.</param>
    /// <param name="isByteLevel">Whether words are written in symbols of bytes.</param>
    public BpeModel Model(JsonElement root, bool isByteLevel)
    {
        var model = Required(root, "model");
        if (model.TryGetProperty("type", out var type) && type.GetString() != "BPE")
            throw Bad($"its model is {type.GetString()}; BPE is served");
        // With a token for every byte nothing is unknown, so unk_token and fuse_unk have no say, and in a byte-level vocabulary byte_fallback has none.
        foreach (var affix in new[] { "continuing_subword_prefix", "end_of_word_suffix" })
        {
            if (model.TryGetProperty(affix, out var value) && value.ValueKind != JsonValueKind.Null && value.GetString() != "")
                throw Bad($"its model has {affix} = '{value.GetString()}', which is not served");
        }

        if (model.TryGetProperty("dropout", out var dropout) && dropout.ValueKind != JsonValueKind.Null && dropout.GetDouble() != 0)
            throw Bad($"its model has dropout = {dropout.GetRawText()}, which is not served: a text would have other tokens each time");
        JsonElement vocab = Required(model, "vocab"), merges = Required(model, "merges");
        var vocabulary = vocab.EnumerateObject().ToDictionary(p => p.Name, p => p.Value.GetInt32(), StringComparer.Ordinal);
        var bytes = Enumerable.Range(0, 256).Select(b => isByteLevel ? BpeTrainer.ByteSymbols[b].ToString() : CharacterSymbols.NameOf((byte)b));
        if (bytes.FirstOrDefault(b => !vocabulary.ContainsKey(b)) is { } lacking)
            throw Bad($"its vocabulary has no '{lacking}', so text with that byte would be lost; a {(isByteLevel ? "byte-level one" : "vocabulary with byte_fallback")} has all 256");
        return new BpeModel(vocabulary, Merges(merges, vocabulary), Flag(model, "ignore_merges", false), isByteLevel);
    }

    /// <summary>The added tokens.</summary>
    public IReadOnlyList<AddedToken> Added(JsonElement root)
    {
        if (!root.TryGetProperty("added_tokens", out var added) || added.ValueKind == JsonValueKind.Null) return [];
        var tokens = new Dictionary<string, AddedToken>(StringComparer.Ordinal);
        foreach (var entry in added.EnumerateArray())
        {
            var content = Required(entry, "content").GetString() ?? throw Bad("an added token has no content");
            if (content.Length > LongestAddedToken)
                throw Bad($"an added token has {content.Length:N0} characters; expected at most {LongestAddedToken:N0}");
            var special = Flag(entry, "special", false);
            var token = new AddedToken(content, Required(entry, "id").GetInt32(),
                Flag(entry, "single_word", false), Flag(entry, "lstrip", false), Flag(entry, "rstrip", false), Flag(entry, "normalized", !special));
            if (!tokens.TryAdd(content, token) && tokens[content] != token)
                throw Bad($"its added token '{content}' is there twice, as {tokens[content].Id} and {token.Id}, or with other flags");
        }

        return [.. tokens.Values];
    }

    /// <summary>The steps that change text before it is cut.</summary>
    public IReadOnlyList<Normalizer> Normalizers(JsonElement root) =>
        root.TryGetProperty("normalizer", out var normalizer) && normalizer.ValueKind != JsonValueKind.Null ? [.. Changes(normalizer)] : [];

    /// <summary>The steps that cut text into pieces. One of them writes bytes as symbols, or the model has a token for every byte beside those of characters.</summary>
    public IReadOnlyList<IPreTokenizer> PreTokenizers(JsonElement root)
    {
        var fallsBack = Flag(Required(root, "model"), "byte_fallback", false);
        List<IPreTokenizer> steps = [];
        if (root.TryGetProperty("pre_tokenizer", out var pre) && pre.ValueKind != JsonValueKind.Null) steps = [.. Steps(pre)];
        else if (!fallsBack) throw Bad("it has no pre_tokenizer; a byte-level one is expected, or a model with byte_fallback");
        return steps.Count(s => s is ByteLevel) switch
        {
            1 => steps,
            0 when fallsBack => steps,
            _ => throw Bad("its pre_tokenizer is not byte level: expected one step ByteLevel, or none and a model with byte_fallback"),
        };
    }

    /// <summary>A refusal of the file.</summary>
    public TitanException Bad(string why, Exception? inner = null) =>
        new(ExitCode.Data, $"tokenizer '{path}' cannot be used: {why}; set model.hf_assets_path to another folder (the shipped one is assets/tokenizer)", inner);

    /// <summary>A property that must be there.</summary>
    public JsonElement Required(JsonElement parent, string name) =>
        parent.ValueKind == JsonValueKind.Object && parent.TryGetProperty(name, out var value) ? value : throw Bad($"it lacks \"{name}\"");

    private bool Flag(JsonElement parent, string name, bool otherwise) => parent.TryGetProperty(name, out var value)
        ? value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean() : throw Bad($"\"{name}\" is {value.GetRawText()}; expected true or false")
        : otherwise;

    private Dictionary<long, MergeRule> Merges(JsonElement merges, Dictionary<string, int> vocabulary)
    {
        var rules = new Dictionary<long, MergeRule>();
        var rank = 0;
        foreach (var merge in merges.EnumerateArray())
        {
            if (merge.ValueKind == JsonValueKind.String && merge.GetString()!.StartsWith("#version", StringComparison.Ordinal)) continue;
            var parts = merge.ValueKind == JsonValueKind.String
                ? merge.GetString()!.Split(' ')
                : [.. merge.EnumerateArray().Select(p => p.GetString() ?? "")];
            if (parts is not [{ Length: > 0 } left, { Length: > 0 } right])
                throw Bad($"its merge {rank} is {merge.GetRawText()}; expected two symbols");
            if (new[] { left, right, left + right }.FirstOrDefault(s => !vocabulary.ContainsKey(s)) is { } lacking)
                throw Bad($"its merge {rank}, of '{left}' and '{right}', needs '{lacking}', which its vocabulary lacks");
            rules[BytePairEncoder.Pair(vocabulary[left], vocabulary[right])] = new MergeRule(rank++, vocabulary[left + right]);
        }

        return rank > 0 ? rules : throw Bad("it has no merges, so it is no byte-level BPE tokenizer");
    }

    private IEnumerable<IPreTokenizer> Steps(JsonElement step) => Required(step, "type").GetString() switch
    {
        "Sequence" => Required(step, "pretokenizers").EnumerateArray().SelectMany(Steps),
        "Split" => [new Split(Pattern(Required(step, "pattern")), Behavior(Required(step, "behavior")), Flag(step, "invert", false))],
        "ByteLevel" => [new ByteLevel(Flag(step, "add_prefix_space", true), Flag(step, "use_regex", true))],
        "Digits" => [CharacterSplit.Digits(Flag(step, "individual_digits", false))],
        "Punctuation" => [CharacterSplit.Punctuation(step.TryGetProperty("behavior", out var behavior) ? Behavior(behavior) : SplitBehavior.Isolated)],
        "Metaspace" => [Metaspace(step)],
        var other => throw Bad($"its pre_tokenizer '{other}' is not served; Sequence, Split, ByteLevel, Digits, Punctuation and Metaspace are"),
    };

    private Metaspace Metaspace(JsonElement step)
    {
        var mark = step.TryGetProperty("replacement", out var replacement) ? replacement.GetString() : "\u2581";
        if (mark is not [var character] || char.IsSurrogate(character)) throw Bad($"its pre_tokenizer Metaspace has the replacement {replacement.GetRawText()}; expected one character");
        // Older files have add_prefix_space instead.
        var scheme = step.TryGetProperty("prepend_scheme", out var named) ? named.GetString() : Flag(step, "add_prefix_space", true) ? "always" : "never";
        if (!PreTokenizing.Metaspace.Schemes.Contains(scheme)) throw Bad($"its pre_tokenizer Metaspace has the prepend_scheme {named.GetRawText()}; expected one of {string.Join(", ", PreTokenizing.Metaspace.Schemes)}");
        return new Metaspace(character, scheme!, Flag(step, "split", true));
    }

    private IEnumerable<Normalizer> Changes(JsonElement step) => Required(step, "type").GetString() switch
    {
        "Sequence" => Required(step, "normalizers").EnumerateArray().SelectMany(Changes),
        "NFC" => [new Normalizer.UnicodeForm(Composes: true)],
        "NFD" => [new Normalizer.UnicodeForm(Composes: false)],
        "Prepend" => [new Normalizer.Prepend(Required(step, "prepend").GetString() ?? throw Bad("its normalizer Prepend has no text"))],
        "Replace" => [new Normalizer.Replace(Pattern(Required(step, "pattern")), Required(step, "content").GetString() ?? throw Bad("its normalizer Replace has no content"))],
        var other => throw Bad($"its normalizer '{other}' is not served; Sequence, NFC, NFD, Prepend and Replace are"),
    };

    private TextPattern Pattern(JsonElement pattern) => pattern.ValueKind == JsonValueKind.Object && pattern.TryGetProperty("String", out var text)
        ? TextPattern.Literal(text.GetString() ?? throw Bad("a pattern is null"))
        : TextPattern.Parse(Required(pattern, "Regex").GetString() ?? throw Bad("a pattern is null"));

    private SplitBehavior Behavior(JsonElement behavior) =>
        behavior.GetString() is { } name && Enum.GetNames<SplitBehavior>().Contains(name, StringComparer.Ordinal)
            ? Enum.Parse<SplitBehavior>(name)
            : throw Bad($"its pre_tokenizer has the behavior {behavior.GetRawText()}; expected one of {string.Join(", ", Enum.GetNames<SplitBehavior>())}");
}
