using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Titan.Abstractions;
using Titan.Training.Files;
using Titan.Training.Tokenizers.Normalizing;
using Titan.Training.Tokenizers.PreTokenizing;

namespace Titan.Training.Tokenizers;

/// <summary>
/// A BPE tokenizer, byte-level or of characters that fall back to bytes, from a Hugging Face folder: <c>tokenizer.json</c>, and <c>tokenizer_config.json</c> for BOS and EOS. Text becomes the
/// tokens that the library "tokenizers" makes of it; a file that asks for what is not served is refused. Its <c>post_processor</c>, <c>truncation</c>
/// and <c>padding</c> are about prompts, and not used.
/// </summary>
public sealed class HuggingFaceTokenizer : ITokenizer
{
    /// <summary>GPT-2's pattern, which a ByteLevel pre-tokenizer implies.</summary>
    public const string Gpt2Pattern = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    private const int LargestFile = 64 << 20;

    private readonly Lock gate = new();
    private readonly AddedTokens added;
    private readonly IReadOnlyList<IPreTokenizer> steps;
    private readonly BytePairEncoder encoder;
    private readonly Dictionary<int, string> texts;
    private readonly HashSet<int> verbatim;
    private readonly Dictionary<string, int> addedIds;
    private readonly bool deniesEos, isByteLevel, prepends;

    private HuggingFaceTokenizer(JsonElement root, byte[] bytes, TokenizerReader reader, DocumentBorders borders)
    {
        steps = reader.PreTokenizers(root);
        var normalizers = reader.Normalizers(root);
        var model = reader.Model(root, steps.Any(s => s is ByteLevel));
        var tokens = reader.Added(root);
        var all = new Dictionary<string, int>(model.Vocabulary, StringComparer.Ordinal);
        foreach (var token in tokens)
            if (!all.TryAdd(token.Content, token.Id) && all[token.Content] != token.Id)
                throw reader.Bad($"'{token.Content}' has the ids {all[token.Content]} and {token.Id}");
        if (all.Values.Min() < 0 || all.Values.Max() == int.MaxValue) throw reader.Bad("an id is out of range");
        if (all.GroupBy(t => t.Value).FirstOrDefault(g => g.Count() > 1) is { } twice)
            throw reader.Bad($"id {twice.Key} belongs to both {string.Join(" and ", twice.Take(2).Select(t => $"'{t.Key}'"))}");

        added = new AddedTokens(tokens, normalizers);
        encoder = new BytePairEncoder(model.Symbols, model.Rules, model.IgnoreMerges ? model.Vocabulary : null);
        isByteLevel = model.IsByteLevel;
        prepends = normalizers.Any(n => n is Normalizer.Prepend) || steps.Any(s => s is Metaspace { Prepends: true });
        texts = all.ToDictionary(t => t.Value, t => t.Key);
        verbatim = [.. tokens.Select(t => t.Id)];
        addedIds = tokens.ToDictionary(t => t.Content, t => t.Id, StringComparer.Ordinal);
        VocabularySize = all.Values.Max() + 1;
        (BosId, EosId) = (borders.Id("bos_token", all, reader), borders.Id("eos_token", all, reader));
        deniesEos = borders.DenyEos;
        Hash = System.Convert.ToHexStringLower(SHA256.HashData([.. bytes, .. Encoding.ASCII.GetBytes($"{BosId},{EosId}")]));
    }

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
        if (!RegularFile.IsTaken(path))
            throw new TitanException(ExitCode.Data,
                $"model.hf_assets_path = '{folder}': there is no tokenizer.json; name a folder that holds one (the shipped one is assets/tokenizer)");
        var borders = DocumentBorders.Read(Path.Combine(folder, "tokenizer_config.json"));
        var reader = new TokenizerReader(path);
        return reader.Read(LargestFile, (root, bytes) => new HuggingFaceTokenizer(root, bytes, reader, borders));
    }

    /// <summary>
    /// Refuses to train on documents that would run into each other, since nothing ends them, unless the folder says that nothing shall.
    /// </summary>
    /// <param name="folder">The folder, for the message.</param>
    /// <param name="warn">Takes a warning where it says so.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/>.</exception>
    public void RequireDocumentEnd(string folder, Action<string> warn)
    {
        if (EosId is not null) return;
        var start = BosId is { } bos ? $"only '{texts[bos]}', at their start, tells them apart" : "nothing tells them apart";
        if (deniesEos)
        {
            warn($"the tokenizer has no token that ends a document (\"eos_token\": null in tokenizer_config.json), so documents run into each other: {start}");
            return;
        }

        var candidates = verbatim.Count == 0
            ? "the tokenizer has no added tokens"
            : $"added tokens: {string.Join(", ", verbatim.Order().Take(8).Select(id => $"'{texts[id]}'"))}{(verbatim.Count > 8 ? ", ..." : "")}";
        throw new TitanException(ExitCode.Data,
            $"the tokenizer in '{folder}' names no token that ends a document, so documents would run into each other: {start}; "
            + $"name it in tokenizer_config.json as \"eos_token\" ({candidates}), or say \"eos_token\": null there to train without");
    }

    /// <inheritdoc />
    public int? AddedToken(string text) => addedIds.TryGetValue(text, out var id) ? id : null;

    /// <inheritdoc />
    public IReadOnlyList<int> Encode(string text)
    {
        var ids = new List<int>();
        lock (gate)
        {
            var isFirst = true;
            foreach (var (id, part) in added.Cut(text))
            {
                var begins = isFirst;
                isFirst = false;
                if (id is { } token)
                {
                    ids.Add(token);
                    continue;
                }

                List<ReadOnlyMemory<char>> pieces = [part];
                foreach (var step in steps)
                {
                    var cut = new List<ReadOnlyMemory<char>>(pieces.Count);
                    foreach (var (i, piece) in pieces.Index()) step.Cut(piece, begins && i == 0, cut);
                    pieces = cut;
                }

                foreach (var piece in pieces) encoder.Encode(piece.Span, ids);
            }
        }

        return ids;
    }

    /// <inheritdoc />
    public string Decode(IEnumerable<int> ids)
    {
        var bytes = new List<byte>();
        foreach (var (i, id) in ids.Index())
        {
            var text = texts[id];
            if (verbatim.Contains(id)) bytes.AddRange(Encoding.UTF8.GetBytes(text));
            else if (!isByteLevel) AddCharacters(text, i == 0, bytes);
            else if (text.Any(c => !BpeTrainer.ByteOf.ContainsKey(c))) bytes.AddRange(Encoding.UTF8.GetBytes(text));
            else foreach (var symbol in text) bytes.Add(BpeTrainer.ByteOf[symbol]);
        }

        return Encoding.UTF8.GetString([.. bytes]);
    }

    /// <summary>The text of a token of characters, or its byte; without the space that was put before the text.</summary>
    private void AddCharacters(string text, bool isFirst, List<byte> bytes)
    {
        if (text is ['<', '0', 'x', _, _, '>'] && byte.TryParse(text.AsSpan(3, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value))
        {
            bytes.Add(value);
            return;
        }

        text = text.Replace('\u2581', ' ');
        bytes.AddRange(Encoding.UTF8.GetBytes(isFirst && prepends && text.StartsWith(' ') ? text[1..] : text));
    }
}
