using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using CsCheck;
using Titan.Abstractions;
using Titan.Training.Tokenizers;

namespace Titan.Training.Tests.Tokenizers;

public sealed class TokenizerFileTests : IDisposable
{
    private static readonly string[] Merges = ["h e", "l l", "he ll", "hell o", "Ġ w", "1 2", "12 3", "Ċ Ċ", "Ã ©"];

    /// <summary>Accents composed and not, scripts, emoji of several code points, control characters and every kind of white space.</summary>
    private static readonly string[] Pieces =
    [
        "hello", " world", "é", "e\u0301", "ß", "Ω", "中文", "日本語", "한국어", "עברית", "العربية", "हिन्दी", "ไทย", "🙂", "👩‍👩‍👧", "🇨🇭", "𠀀", "123456", "1", " ", "  ", "\t", "\n", "\r\n", "\n\n",
        "\u00a0", "\u2003", "\u3000", "\ufeff", "\0", "\u0001", "'s", "'LL", "don't", "<|", "|>", "!?", "_", "ĠĊ", "\ufffd",
    ];

    private readonly TestFolder folder = new();

    private static Gen<string> Texts => Gen.Int[0, Pieces.Length - 1].Array[0, 20].Select(picks => string.Concat(picks.Select(i => Pieces[i])));

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Any_text_is_encoded_as_the_definition_says_and_comes_back(bool llama3)
    {
        var file = TokenizerFile.Make(Merges);
        var tokenizer = (llama3 ? file.SplitAsLlama3() : file).Load(folder);
        var pattern = llama3 ? TokenizerFile.Llama3Pattern : HuggingFaceTokenizer.Gpt2Pattern;
        Texts.Sample(text =>
        {
            var ids = tokenizer.Encode(text);
            Assert.Equal(Reference(text, pattern, file), ids);
            Assert.Equal(text, tokenizer.Decode(ids));
        }, iter: 500, threads: 1);
    }

    [Fact]
    public void The_two_patterns_split_where_their_models_do()
    {
        using var other = new TestFolder();
        var gpt2 = TokenizerFile.Make(["1 2", "12 3", "123 4", "h e", "Ġ he"]).Load(folder);
        var llama3 = TokenizerFile.Make(["1 2", "12 3", "123 4", "h e", "Ġ he", "( he"]).SplitAsLlama3().Load(other);
        // GPT-2 keeps a run of digits together, Llama 3 takes three at a time; Llama 3 lets a word take any one sign before it.
        Assert.Single(gpt2.Encode("1234"));
        Assert.Equal(2, llama3.Encode("1234").Count);
        Assert.Equal(2, gpt2.Encode("(he").Count);
        Assert.Single(llama3.Encode("(he"));
        Assert.Single(gpt2.Encode(" he"));
    }

    [Fact]
    public void With_ignore_merges_a_word_of_the_vocabulary_is_one_token_even_if_no_merge_leads_to_it()
    {
        var file = TokenizerFile.Make(["h e"], "<|end|>").SplitAsLlama3();
        file["model"]!["vocab"]!.AsObject().Add("hellö".Replace("ö", "Ã¶"), 500);
        var plain = file.Load(folder).Encode("hellö");
        file["model"]!["ignore_merges"] = true;
        var tokenizer = file.Load(folder);
        Assert.Equal(5, plain.Count);
        Assert.Equal([500], tokenizer.Encode("hellö"));
        Assert.Equal([500, 257, 500, .. tokenizer.Encode(" x")], tokenizer.Encode("hellö<|end|>hellö x"));
        Texts.Sample(text => tokenizer.Decode(tokenizer.Encode(text)) == text, iter: 200, threads: 1);
    }

    [Fact]
    public void Added_tokens_are_never_split_and_never_merged_with_what_is_beside_them()
    {
        var tokenizer = TokenizerFile.Make(Merges, "<|begin|>", "<|end|>", "<tool call>").Load(folder, """{"bos_token": {"content": "<|begin|>"}, "eos_token": "<|end|>"}""");
        var first = tokenizer.VocabularySize - 3;
        Assert.Equal((first, first + 1), (tokenizer.BosId, tokenizer.EosId));
        Assert.Equal([.. tokenizer.Encode("hello"), first + 1, first + 2, .. tokenizer.Encode(" w")], tokenizer.Encode("hello<|end|><tool call> w"));
        Assert.Equal("hello<|end|> w", tokenizer.Decode(tokenizer.Encode("hello<|end|> w")));
    }

    [Fact]
    public void A_tokenizer_without_named_borders_has_none_and_one_that_names_what_it_lacks_is_refused()
    {
        var file = TokenizerFile.Make(Merges, "<|endoftext|>");
        var none = file.Load(folder, """{"bos_token": null}""");
        Assert.Null(none.BosId);
        Assert.Null(none.EosId);
        var both = file.Load(folder, """{"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}""");
        Assert.Equal(both.BosId, both.EosId);
        Assert.NotEqual(none.Hash, both.Hash);
        Refused(file, "names '<|eot|>' as eos_token", """{"eos_token": "<|eot|>"}""");
        Refused(file, "tokenizer_config.json' cannot be used: it is not valid JSON (line 1)", "{");
    }

    [Fact]
    public void A_very_long_word_and_a_very_long_gap_are_encoded_in_good_time()
    {
        var tokenizer = TokenizerFile.Make(Merges).SplitAsLlama3().Load(folder);
        var text = new string('l', 50_001) + new string(' ', 50_000) + "x";
        Assert.Equal(text, tokenizer.Decode(tokenizer.Encode(text)));
    }

    public static TheoryData<string, string> Damages => new()
    {
        { "model", "it lacks \"model\"" },
        { "model/vocab", "it lacks \"vocab\"" },
        { "model/merges", "it lacks \"merges\"" },
        { "model/type=\"Unigram\"", "its model is Unigram; byte-level BPE is served" },
        { "model/type=\"WordPiece\"", "its model is WordPiece; byte-level BPE is served" },
        { "model/merges=[]", "it has no merges" },
        { "model/merges=[[\"a\"]]", "cannot be used" },
        { "model/merges=[\"ab\"]", "cannot be used" },
        { "model/vocab/a", "has no 'a'" },
        { "model/vocab/a=1.5", "cannot be used" },
        { "model/vocab/a=\"1\"", "cannot be used" },
        { "model/vocab/a=-1", "out of range" },
        { "model/vocab/a=2147483647", "out of range" },
        { "model/vocab/a=5", "id 5 belongs to both" },
        { "added_tokens/0/id=5", "id 5 belongs to both" },
        { "added_tokens/0/content=\"a\"", "'a' has the ids" },
        { "added_tokens/0/id", "it lacks \"id\"" },
        { "normalizer={\"type\":\"NFC\"}", "it has a normalizer" },
        { "pre_tokenizer", "it has no pre_tokenizer" },
        { "pre_tokenizer/type=\"Whitespace\"", "'Whitespace' is not served" },
        { "pre_tokenizer/add_prefix_space=true", "add_prefix_space" },
        { "pre_tokenizer/pretokenizers/0/pattern/Regex=\"(\"", "cannot be used" },
        { "pre_tokenizer/pretokenizers/0/pattern={\"String\":\" \"}", "it lacks \"Regex\"" },
        { "pre_tokenizer/pretokenizers/0/behavior=\"Removed\"", "its Split is Removed" },
        { "pre_tokenizer/pretokenizers/1={\"type\":\"Split\",\"pattern\":{\"Regex\":\"x\"}}", "more than once" },
    };

    [Theory]
    [MemberData(nameof(Damages))]
    public void A_damaged_or_foreign_file_is_refused_with_the_reason(string edit, string message)
    {
        var file = TokenizerFile.Make(Merges, "<|end|>");
        if (edit.Contains("pretokenizers", StringComparison.Ordinal)) file.SplitAsLlama3();
        var (path, value) = edit.Split('=', 2) is [var p, var v] ? (p, v) : (edit, null);
        var parts = path.Split('/');
        JsonNode at = file;
        foreach (var part in parts[..^1]) at = at is JsonArray array ? array[int.Parse(part)]! : at[part]!;
        if (value is null) at.AsObject().Remove(parts[^1]);
        else if (at is JsonArray array) array[int.Parse(parts[^1])] = JsonNode.Parse(value);
        else at[parts[^1]] = JsonNode.Parse(value);
        Refused(file, message);
    }

    [Fact]
    public void Any_change_of_a_byte_gives_a_tokenizer_or_a_data_error()
    {
        var whole = Encoding.UTF8.GetBytes(TokenizerFile.Make(Merges, "<|end|>").SplitAsLlama3().ToJsonString());
        Gen.Int[0, whole.Length - 1].Select(Gen.Byte).Sample((at, value) =>
        {
            var damaged = (byte[])whole.Clone();
            damaged[at] = value;
            folder.Write("tokenizer.json", damaged);
            try
            {
                _ = HuggingFaceTokenizer.Load(folder.Path).Encode("hello, wörld 123");
            }
            catch (TitanException e)
            {
                Assert.Equal(ExitCode.Data, e.Code);
            }
        }, iter: 300, threads: 1);
    }

    private void Refused(JsonObject file, string message, string? config = null)
    {
        var error = Assert.Throws<TitanException>(() => file.Load(folder, config));
        Assert.Equal(ExitCode.Data, error.Code);
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
        Assert.Contains("set model.hf_assets_path", error.Message, StringComparison.Ordinal);
    }

    /// <summary>Byte-level BPE as its definition goes: in each word, the earliest merge first, from left to right.</summary>
    private static List<int> Reference(string text, string pattern, JsonObject file)
    {
        var merges = file["model"]!["merges"]!.AsArray().Select(m => m!.GetValue<string>()).ToList();
        var ids = new List<int>();
        foreach (Match word in Regex.Matches(text, pattern, RegexOptions.CultureInvariant))
        {
            var parts = Encoding.UTF8.GetBytes(word.Value).Select(b => BpeTrainer.ByteSymbols[b].ToString()).ToList();
            while (Enumerable.Range(0, Math.Max(0, parts.Count - 1)).Where(i => merges.Contains($"{parts[i]} {parts[i + 1]}"))
                .OrderBy(i => merges.IndexOf($"{parts[i]} {parts[i + 1]}")).Select(i => (int?)i).FirstOrDefault() is { } at)
            {
                parts[at] += parts[at + 1];
                parts.RemoveAt(at + 1);
            }

            ids.AddRange(parts.Select(p => file["model"]!["vocab"]![p]!.GetValue<int>()));
        }

        return ids;
    }
}
