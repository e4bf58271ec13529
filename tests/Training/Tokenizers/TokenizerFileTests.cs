using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using CsCheck;
using Titan.Abstractions;
using Titan.Training.Tokenizers;
using Titan.Training.Tokenizers.Patterns;

namespace Titan.Training.Tests.Tokenizers;

public sealed class TokenizerFileTests : IDisposable
{
    private static readonly string[] Merges = ["h e", "l l", "he ll", "hell o", "Ġ w", "1 2", "12 3", "Ċ Ċ", "Ã ©"];

    private readonly TestFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Any_text_is_encoded_as_the_definition_says_and_comes_back(bool llama3)
    {
        var file = TokenizerFile.Make(Merges);
        var tokenizer = (llama3 ? file.SplitAsLlama3() : file).Load(folder);
        var pattern = llama3 ? TokenizerFile.Llama3Pattern : HuggingFaceTokenizer.Gpt2Pattern;
        Texts.UpToFfff(20).Sample(text =>
        {
            var ids = tokenizer.Encode(text);
            Assert.Equal(Reference(text, pattern, file), ids);
            Assert.Equal(text, tokenizer.Decode(ids));
        }, iter: 500, threads: 1);
    }

    [Theory]
    [InlineData("llama 2")]
    [InlineData("always")]
    [InlineData("first")]
    [InlineData("never")]
    public void Any_text_of_characters_that_fall_back_to_bytes_comes_back(string kind)
    {
        var file = TokenizerFile.MakeCharacters(["h e", "l l", "▁ he", "▁he ll", "▁ ▁"], "helo▁é", "<s>");
        if (kind == "llama 2") file.SpacedAsLlama2();
        else file["pre_tokenizer"] = TokenizerFile.Metaspace(kind, split: true);
        var tokenizer = file.Load(folder);
        Texts.Of(20).Sample(text => text.StartsWith(' ') && kind is "always" or "first" || text.Contains("<0x", StringComparison.Ordinal) || tokenizer.Decode(tokenizer.Encode(text)) == text, iter: 300, threads: 1);
        // A space, h, e: one token; no token: its bytes.
        Assert.Equal(kind == "never" ? 1 : 2, tokenizer.Encode(kind == "never" ? " he" : "he he").Count);
        Assert.Equal(["<0xF0>", "<0x9F>", "<0x99>", "<0x82>"], tokenizer.Encode("🙂").TakeLast(4).Select(id => file["model"]!["vocab"]!.AsObject().First(t => t.Value!.GetValue<int>() == id).Key));
        file["model"]!["byte_fallback"] = false;
        Refused(file, " a model with byte_fallback");
        file["model"]!["byte_fallback"] = true;
        file["model"]!["vocab"]!.AsObject().Remove("<0x0A>");
        Refused(file, "its vocabulary has no '<0x0A>'");
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
        file["model"]!["vocab"]!.AsObject().Add("hellÃ¶", 500);
        var plain = file.Load(folder).Encode("hellö");
        file["model"]!["ignore_merges"] = true;
        var tokenizer = file.Load(folder);
        Assert.Equal(5, plain.Count);
        Assert.Equal([500], tokenizer.Encode("hellö"));
        Assert.Equal([500, 257, 500, .. tokenizer.Encode(" x")], tokenizer.Encode("hellö<|end|>hellö x"));
        Texts.Of(20).Sample(text => tokenizer.Decode(tokenizer.Encode(text)) == text, iter: 200, threads: 1);
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
    public void White_space_that_one_token_took_is_not_anothers_too()
    {
        var file = TokenizerFile.Make(Merges);
        file["added_tokens"] = new JsonArray(TokenizerFile.Added(300, "<a>", right: true), TokenizerFile.Added(301, " ", left: true), TokenizerFile.Added(302, "\n", left: true, right: true));
        var tokenizer = file.Load(folder);
        Assert.Equal([300, .. tokenizer.Encode("x")], tokenizer.Encode("<a>  \n x"));
        Assert.Equal([302, .. tokenizer.Encode("x")], tokenizer.Encode("\n \n\nx"));
        Assert.Equal([301, 301], tokenizer.Encode("  "));
        // A million walks over half a million spaces each would last for minutes.
        Assert.Equal(1_000_000, tokenizer.Encode(new string(' ', 1_000_000)).Count);
        file["added_tokens"] = new JsonArray(TokenizerFile.Added(301, " ", right: true));
        Assert.All(file.Load(folder).Encode(new string(' ', 1_000_000)), id => Assert.Equal(301, id));
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
        var usual = TokenizerFile.Make(Merges, "<|begin_of_text|>", "<|end_of_text|>");
        Assert.Equal((usual.Load(folder, "{}").VocabularySize - 2, usual.Load(folder, "{}").VocabularySize - 1), (usual.Load(folder, "{}").BosId, usual.Load(folder, "{}").EosId));
        Assert.Null(usual.Load(folder, """{"bos_token": null}""").BosId);
        Assert.Null(usual.Load(folder, """{"eos_token": null}""").EosId);
        Refused(file, "bos_token is 5; expected a token or null", """{"bos_token": 5}""");
        Refused(file, "it lacks \"content\"", """{"eos_token": {}}""");
        Refused(file, "expected an object", "[]");
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
        { "model/type=\"Unigram\"", "its model is Unigram; BPE is served" },
        { "model/type=\"WordPiece\"", "its model is WordPiece; BPE is served" },
        { "model/merges=[]", "it has no merges" },
        { "model/merges=[[\"a\"]]", "its merge 0 is [\"a\"]; expected two symbols" },
        { "model/merges=[\"ab\"]", "expected two symbols" },
        { "model/merges=[\"a b\"]", "its merge 0, of 'a' and 'b', needs 'ab', which its vocabulary lacks" },
        { "model/merges=[\"a b c\"]", "expected two symbols" },
        { "model/dropout=0.1", "its model has dropout = 0.1, which is not served" },
        { "model/end_of_word_suffix=\"</w>\"", "its model has end_of_word_suffix = '</w>', which is not served" },
        { "model/continuing_subword_prefix=\"##\"", "its model has continuing_subword_prefix = '##', which is not served" },
        { "model/ignore_merges=1", "\"ignore_merges\" is 1; expected true or false" },
        { "model/vocab/a", "has no 'a'" },
        { "model/vocab/a=1.5", "cannot be used" },
        { "model/vocab/a=\"1\"", "cannot be used" },
        { "model/vocab/a=-1", "out of range" },
        { "model/vocab/a=2147483647", "out of range" },
        { "model/vocab/a=5", "id 5 belongs to both" },
        { "added_tokens/0/id=5", "id 5 belongs to both" },
        { "added_tokens/0/content=\"a\"", "'a' has the ids" },
        { "added_tokens/0/id", "it lacks \"id\"" },
        { "normalizer={\"type\":\"NFKC\"}", "its normalizer 'NFKC' is not served; Sequence, NFC, NFD, Prepend and Replace are" },
        { "normalizer={\"type\":\"Prepend\"}", "it lacks \"prepend\"" },
        { "normalizer={\"type\":\"Replace\",\"pattern\":{\"String\":\" \"}}", "it lacks \"content\"" },
        { "pre_tokenizer", "it has no pre_tokenizer" },
        { "pre_tokenizer/type=\"Whitespace\"", "'Whitespace' is not served" },
        { "pre_tokenizer/type=\"BertPreTokenizer\"", "'BertPreTokenizer' is not served; Sequence, Split, ByteLevel, Digits, Punctuation and Metaspace are" },
        { "pre_tokenizer={\"type\":\"Metaspace\"}", "expected one step ByteLevel, or none and a model with byte_fallback" },
        { "pre_tokenizer={\"type\":\"Metaspace\",\"replacement\":\"ab\"}", "Metaspace has the replacement \"ab\"; expected one character" },
        { "pre_tokenizer={\"type\":\"Metaspace\",\"prepend_scheme\":\"last\"}", "Metaspace has the prepend_scheme \"last\"; expected one of always, first, never" },
        { "pre_tokenizer/use_regex=\"yes\"", "\"use_regex\" is \"yes\"; expected true or false" },
        { "pre_tokenizer/pretokenizers/0/pattern/Regex=\"(\"", "its pattern cannot be used (character 1): there is a ( without a )" },
        { "pre_tokenizer/pretokenizers/0/pattern={}", "it lacks \"Regex\"" },
        { "pre_tokenizer/pretokenizers/0/behavior=\"Kept\"", "has the behavior \"Kept\"; expected one of Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous" },
        { "pre_tokenizer/pretokenizers/0/behavior", "it lacks \"behavior\"" },
        { "pre_tokenizer/pretokenizers/1={\"type\":\"Digits\",\"individual_digits\":true}", "expected one step ByteLevel" },
        { "pre_tokenizer/pretokenizers/0={\"type\":\"ByteLevel\",\"use_regex\":true}", "expected one step ByteLevel" },
        { "pre_tokenizer/pretokenizers/0/pattern/Regex=\"\\\\p{Han}\"", "\\p{Han} is not served; general categories are" },
        { "added_tokens/0/lstrip=null", "\"lstrip\" is null; expected true or false" },
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
        Gen.Int[0, whole.Length - 1].Select(Gen.Byte).Each(300, edit =>
        {
            var (at, value) = edit;
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
        });
    }

    [Fact]
    public void Any_value_of_another_kind_anywhere_gives_a_tokenizer_or_a_data_error()
    {
        var whole = TokenizerFile.Make(Merges, "<|end|>").SplitAsLlama3();
        string[] values = ["null", "true", "5", "-1", "1.5", "1e300", "\"x\"", "\"\"", "[]", "{}", "[null]", "[[]]", "{\"type\":null}", "{\"type\":\"Split\"}", "[\"a\",\"b\",\"c\"]"];
        // A few entries of the vocabulary are like all.
        var places = Places(whole, []).Where(p => p is not [_, "vocab", string symbol] || symbol is "!" or "A" or "he").ToList();
        Assert.True(places.Count > 40);
        foreach (var place in places)
        {
            foreach (var value in values)
            {
                var file = whole.DeepClone().AsObject();
                var parent = place[..^1].Aggregate((JsonNode)file, (node, key) => key is int i ? node[i]! : node[(string)key]!);
                if (place[^1] is int index) parent[index] = JsonNode.Parse(value);
                else parent[(string)place[^1]] = JsonNode.Parse(value);
                try
                {
                    _ = file.Load(folder).Encode("hello, wörld 123 <|end|>");
                }
                catch (Exception e)
                {
                    Assert.True(e is TitanException { Code: ExitCode.Data }, $"{string.Join('/', place)} = {value}: {e}");
                    Assert.DoesNotContain('\n', e.Message);
                }
            }
        }

        static IEnumerable<object[]> Places(JsonNode? node, object[] path) => node switch
        {
            JsonObject o => o.SelectMany(p => Places(p.Value, [.. path, p.Key]).Prepend([.. path, p.Key])),
            JsonArray a => a.SelectMany((n, i) => Places(n, [.. path, i]).Prepend([.. path, i])),
            _ => [],
        };
    }

    [Theory]
    [InlineData("a)", "a ) without a (")]
    [InlineData("[a", "it ends too early")]
    [InlineData("[]", "an empty class")]
    [InlineData("[z-a]", "upside down")]
    [InlineData("[a[bc]]", "a class in a class")]
    [InlineData("[a&&b]", "&& in a class")]
    [InlineData("[\\W]", "\\W in a class")]
    [InlineData("*", "nothing that the * could repeat")]
    [InlineData("a{3,2}", "upside down")]
    [InlineData("a{100001}", "at most 100,000 repeats")]
    [InlineData("(a)\\1", "\\1 is not served")]
    [InlineData("(?<n>a)", "the group (?< is not served")]
    [InlineData("(?x:a)", "the group (?x is not served")]
    [InlineData("a(?i)b", "the group (?i is not served")]
    [InlineData("(?i)é", "U+00E9; it is served for ASCII")]
    [InlineData("(?i)\\p{Lu}", "\\p{Lu} under (?i)")]
    [InlineData("\\p{Greek}", "\\p{Greek} is not served")]
    [InlineData("\\pL", "\\p without {")]
    [InlineData("\\R", "\\R is not served")]
    [InlineData("\\x{1F600}", "above U+FFFF")]
    [InlineData("\ud83d\ude42", "above U+FFFF")]
    [InlineData("\\u12", "lacks hexadecimal digits")]
    [InlineData("[\\u0000-\\uFFFF]", "names every character of the category")]
    [InlineData("a\\", "it ends too early")]
    public void What_a_pattern_may_not_say_is_refused_by_name(string pattern, string message)
    {
        var file = TokenizerFile.Make(Merges).With(TokenizerFile.Split(pattern), TokenizerFile.ByteLevel(regex: false));
        Refused(file, message);
    }

    [Fact]
    public void A_pattern_of_too_many_groups_or_characters_is_refused()
    {
        Refused(TokenizerFile.Make(Merges).With(TokenizerFile.Split(new string('(', 5000)), TokenizerFile.ByteLevel()), "more than 100 deep");
        Refused(TokenizerFile.Make(Merges).With(TokenizerFile.Split("a" + new string('*', 60_000)), TokenizerFile.ByteLevel()), "more than 8 quantifiers in a row");
        Refused(TokenizerFile.Make(Merges).With(TokenizerFile.Split(new string('a', 70_000)), TokenizerFile.ByteLevel()), "70,000 characters; expected at most 65,536");
    }

    [Fact]
    public void A_pattern_that_backtracks_without_end_is_a_data_error_and_not_a_wait_without_end()
    {
        var before = TextPattern.Patience;
        try
        {
            TextPattern.Patience = TimeSpan.FromMilliseconds(100);
            var tokenizer = TokenizerFile.Make(Merges).With(TokenizerFile.Split("(?:a|ab|b|ba)+c"), TokenizerFile.ByteLevel(regex: false)).Load(folder);
            var error = Assert.Throws<TitanException>(() => tokenizer.Encode(string.Concat(Enumerable.Repeat("ab", 2500)) + "d"));
            Assert.Equal(ExitCode.Data, error.Code);
            Assert.Contains("pattern '(?:a|ab|b|ba)+c' takes too long at a text of 5,001 characters", error.Message, StringComparison.Ordinal);
        }
        finally
        {
            TextPattern.Patience = before;
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("x*")]
    [InlineData("(?=a)")]
    [InlineData("|a")]
    public void A_pattern_of_zero_width_cuts_and_ends(string pattern)
    {
        var tokenizer = TokenizerFile.Make(Merges).With(TokenizerFile.Split(pattern), TokenizerFile.ByteLevel(regex: false)).Load(folder);
        foreach (var text in new[] { "", "a", "hello 🙂 x" }) Assert.Equal(text, tokenizer.Decode(tokenizer.Encode(text)));
    }

    [Fact]
    public void A_word_of_two_million_letters_is_merged()
    {
        // Linear but for a logarithm; the quadratic way would take an hour.
        var tokenizer = TokenizerFile.Make(["l l", "ll ll"]).SplitAsLlama3().Load(folder);
        Assert.Equal(500_000, tokenizer.Encode(new string('l', 2_000_000)).Count);
    }

    [Fact]
    public void A_tokenizer_in_which_nothing_ends_a_document_is_refused_with_the_way_out_unless_its_folder_says_so()
    {
        var warnings = new List<string>();
        var error = Assert.Throws<TitanException>(() => TokenizerFile.Make(Merges, "<|endoftext|>").Load(folder).RequireDocumentEnd("there", warnings.Add));
        Assert.Equal(ExitCode.Data, error.Code);
        Assert.Contains("the tokenizer in 'there' names no token that ends a document", error.Message, StringComparison.Ordinal);
        Assert.Contains("name it in tokenizer_config.json as \"eos_token\" (added tokens: '<|endoftext|>')", error.Message, StringComparison.Ordinal);
        TokenizerFile.Make(Merges, "<|endoftext|>").Load(folder, """{"eos_token": "<|endoftext|>"}""").RequireDocumentEnd("there", warnings.Add);
        Assert.Empty(warnings);
        TokenizerFile.Make(Merges, "<s>").Load(folder, """{"eos_token": null, "bos_token": "<s>"}""").RequireDocumentEnd("there", warnings.Add);
        Assert.Contains("documents run into each other: only '<s>', at their start, tells them apart", Assert.Single(warnings), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("tokenizer.json")]
    [InlineData("tokenizer_config.json")]
    public void Only_regular_files_of_bounded_size_are_read(string name)
    {
        TokenizerFile.Make(Merges, "<|end|>").Load(folder, """{"eos_token": "<|end|>"}""");
        File.Move(folder.At(name), folder.At("moved"));
        File.CreateSymbolicLink(folder.At(name), folder.At("moved"));
        Assert.NotNull(HuggingFaceTokenizer.Load(folder.Path).EosId);
        Broken("it is a device; expected a regular file", () => File.CreateSymbolicLink(folder.At(name), "/dev/zero"));
        Broken("it is a named pipe; expected a regular file", () =>
        {
            using var make = System.Diagnostics.Process.Start("mkfifo", folder.At(name));
            make.WaitForExit();
        });
        Broken("cannot be used", () => File.CreateSymbolicLink(folder.At(name), folder.At(name)));
        Broken("cannot be used", () => File.CreateSymbolicLink(folder.At(name), folder.At("nowhere")));
        Broken("cannot be used", () => Directory.CreateDirectory(folder.At(name)));
        Directory.Delete(folder.At(name));
        Broken("1,099,511,627,776 bytes; expected at most", () =>
        {
            using var file = File.Create(folder.At(name));
            file.SetLength(1L << 40);
        });

        void Broken(string message, Action put)
        {
            File.Delete(folder.At(name));
            put();
            var error = Assert.Throws<TitanException>(() => HuggingFaceTokenizer.Load(folder.Path));
            Assert.Equal(ExitCode.Data, error.Code);
            Assert.Contains(name, error.Message, StringComparison.Ordinal);
            Assert.Contains(message, error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Any_pattern_is_refused_or_gives_back_the_text()
    {
        string[] parts = ["a", "(", ")", "(?:", "(?i:", "(?=", "(?!", "(?>", "[", "]", "[^", "-", "\\p{L}", "\\s", "\\w", "\\", "*", "+", "?", "{1,2}", "{", "}", "|", ".", "^", "$", "é", "\\b", "&&", "\\u0041", "\\x{"];
        var before = TextPattern.Patience;
        try
        {
            TextPattern.Patience = TimeSpan.FromSeconds(1);
            Gen.Int[0, parts.Length - 1].Array[0, 12].Each(400, picks =>
            {
                try
                {
                    var tokenizer = TokenizerFile.Make(Merges).With(TokenizerFile.Split(string.Concat(picks.Select(i => parts[i]))), TokenizerFile.ByteLevel(regex: false)).Load(folder);
                    Assert.Equal("hello aAé 🙂𝟏\n\nx", tokenizer.Decode(tokenizer.Encode("hello aAé 🙂𝟏\n\nx")));
                }
                catch (TitanException e)
                {
                    Assert.Equal(ExitCode.Data, e.Code);
                }
            });
        }
        finally
        {
            TextPattern.Patience = before;
        }
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
