using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using CsCheck;
using Titan.Abstractions;
using Titan.Training.Data;
using Titan.Training.Tokenizers;

namespace Titan.Training.Tests.Tokenizers;

/// <summary>Text becomes the tokens that Hugging Face's library makes of it, or the file is refused.</summary>
public sealed class ReferenceTests : IDisposable
{
    private static readonly string[] Behaviors = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"];

    /// <summary>Patterns of well-known files, and one for each thing that patterns can say.</summary>
    private static readonly string[] Patterns =
    [
        TokenizerFile.Llama3Pattern, HuggingFaceTokenizer.Gpt2Pattern,
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        @"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+", "[一-龥\u3040-ゟ゠-ヿ]+",
        @"\p{N}{1,3}", " ", @"\s", "", "x*", "(?=l)", "(?<=l)l", "(?<!l)l(?!o)", @"\b", @"\B", @"\w+", @"\W+", @"[\w-]+", @"\d", @"\D+", @"\S+", "$", "^", @"\A.", @".\z", @".\Z", ".", "[^a]+", "[^\\n]+",
        "(?i)k+|S", "(?i:[k-s]+)|HELLO", "(?i:h(?-i:e))", "l{2}", "l{2}?", "l{1,2}?o", "l{1,2}+o", "l{,2}", "l{,}", "l++l", "l?+l", "l*+o", "(?>l+)o", "(?:l|el)*", "(l|lo)+?o", "a|", "|a", @"\h+", @"\H+", @"\p{^L}+",
        @"\P{L}+", @"\p{Letter}+|\p{lu}", @"\x61|\x{4e2d}|\u0062", @"\p{So}+", @"[^\p{So}\s]+", @"\p{Co}|\p{Cn}", @"\p{Mn}+|\p{Sk}", @"\p{Pd}", "{", "a}", "[-a]", "[a-]", "[a^]+", "\\.|\\||\\[", "(?:(?:a|b)c?)*d",
    ];

    private readonly TestFolder folder = new();

    public void Dispose() => folder.Dispose();

    [ReferenceFact]
    public void The_shipped_tokenizer_gives_the_references_tokens()
    {
        var path = Path.Combine(SampleAssets.Root, "tokenizer");
        var (ours, reference) = (HuggingFaceTokenizer.Load(path), new ReferenceTokenizer(path));
        Texts.Of(30).Each(500, text => Same(reference, ours, text, "shipped"));
        foreach (var document in TextFiles.Read(Path.Combine(SampleAssets.Root, "sample", "validation.jsonl.gz")).Take(20)) Same(reference, ours, document, "shipped");
    }

    [ReferenceFact]
    public void Every_pattern_cuts_where_the_reference_cuts_whatever_becomes_of_its_matches()
    {
        foreach (var (pattern, index) in Patterns.Select((p, i) => (p, i)))
        {
            foreach (var behavior in Behaviors)
            {
                var invert = (index + behavior.Length) % 2 == 0;
                Compare($"{pattern} {behavior} {invert}", TokenizerFile.Make(Merges(index)).With(TokenizerFile.Split(pattern, behavior, invert), TokenizerFile.ByteLevel(regex: false)), 40);
            }
        }
    }

    [ReferenceFact]
    public void Any_sequence_of_steps_with_any_flags_gives_the_references_tokens() =>
        Gen.Int[0, 5].Array[0, 3].Select(Gen.Int[0, 5].Array[0, 2], Gen.Bool.Array[4], Gen.Int[0, int.MaxValue - 1]).Each(150, sample =>
        {
            var (before, after, flags, seed) = sample;
            var random = new Random(seed);
            JsonObject[] steps = [.. before.Select(k => Step(k, random)), TokenizerFile.ByteLevel(flags[0], flags[1]), .. after.Select(k => Step(k, random))];
            var file = TokenizerFile.Make(Merges(seed)).With(steps);
            file["model"]!["ignore_merges"] = flags[2];
            if (flags[3]) AddTokens(file, random);
            Compare(file["pre_tokenizer"]!.ToJsonString() + file["added_tokens"]!.ToJsonString(), file, 12);
        });

    [ReferenceFact]
    public void Added_tokens_with_any_flags_are_found_where_the_reference_finds_them() =>
        Gen.Int[0, int.MaxValue - 1].Each(150, seed =>
        {
            var file = TokenizerFile.Make(Merges(seed)).SplitAsLlama3();
            AddTokens(file, new Random(seed));
            Compare(file["added_tokens"]!.ToJsonString(), file, 15);
        });

    [ReferenceFact]
    public void Every_character_is_of_the_references_kind_whatever_plane_it_is_of()
    {
        var text = string.Concat(Texts.Characters.Select(r => r.ToString()));
        foreach (var pattern in new[] { @"\p{L}", @"\p{N}", @"\p{M}", @"\p{P}", @"\p{S}", @"\p{Z}", @"\s", @"\w", @"[\w]", @"\W", @"\d", @"\p{Co}", @"\p{Cn}", @"\p{Lu}", @"\p{Ll}", @"\p{Lm}", @"\p{Cf}", @"\p{Nl}" })
        {
            // Kept are the characters of the kind; symbols of bytes without merges tell them.
            var file = TokenizerFile.Make(["h e"]).With(TokenizerFile.Split(pattern, "Removed", invert: true), TokenizerFile.ByteLevel(regex: false));
            var ours = Kept(file.Load(folder), text);
            var reference = Runes(file.Load(folder).Decode(new ReferenceTokenizer(folder.Path).Encode(text)));
            var different = ours.Except(reference).Concat(reference.Except(ours)).ToList();
            Assert.True(different.Count == 0, $"{pattern}: {different.Count} differ: {string.Join(' ', different.Take(40).Select(r => $"{r.Value:X}"))}");
        }

        static List<Rune> Runes(string text) => [.. text.EnumerateRunes()];
        static List<Rune> Kept(HuggingFaceTokenizer tokenizer, string text) => Runes(tokenizer.Decode(tokenizer.Encode(text)));
    }

    [ReferenceFact]
    public void Digits_and_punctuation_are_the_references()
    {
        // The reference's digits are those of the next Unicode, which assigns characters that were not.
        var text = string.Concat(Texts.Characters.Where(r => r.Value < 0x20000 && Rune.GetUnicodeCategory(r) != UnicodeCategory.OtherNotAssigned).Select(r => r.ToString()));
        foreach (var step in new JsonObject[] { new() { ["type"] = "Digits", ["individual_digits"] = true }, new() { ["type"] = "Digits", ["individual_digits"] = false }, new() { ["type"] = "Punctuation", ["behavior"] = "Removed" } })
        {
            // Every pair of symbols merges, so that the tokens tell where the pieces end.
            var file = TokenizerFile.Make([.. Pairs()]).With(step, TokenizerFile.ByteLevel(regex: false));
            var ours = file.Load(folder);
            Same(new ReferenceTokenizer(folder.Path), ours, text, step.ToJsonString());
        }

        static IEnumerable<string> Pairs() => BpeTrainer.ByteSymbols.Where((_, i) => i >= 0x80).SelectMany(l => BpeTrainer.ByteSymbols.Where((_, i) => i is >= 0x80 or (> 0x20 and < 0x7f)).Select(r => $"{l} {r}"));
    }

    [ReferenceFact]
    public void Characters_that_fall_back_to_bytes_are_the_references_with_any_normalizer_and_any_metaspace() =>
        Gen.Int[0, 6].Select(Gen.Bool.Array[3], Gen.Int[0, int.MaxValue - 1]).Each(150, sample =>
        {
            var (kind, flags, seed) = sample;
            var random = new Random(seed);
            var file = TokenizerFile.MakeCharacters(CharacterMerges(seed), "helowrdabcx123_.'<>▁é中𠮷🙂\n");
            if (kind == 0) file.SpacedAsLlama2();
            else if (kind < 4) file["pre_tokenizer"] = TokenizerFile.Metaspace(new[] { "always", "first", "never" }[kind - 1], flags[0]);
            else if (kind == 4) file.With(TokenizerFile.Metaspace("always", flags[0]), Step(random.Next(6), random));
            else if (kind == 5) file["normalizer"] = JsonNode.Parse("""{"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}""");
            file["model"]!["ignore_merges"] = flags[1];
            if (flags[2]) AddTokens(file, random);
            Compare($"{kind} {file["normalizer"]?.ToJsonString()} {file["pre_tokenizer"]?.ToJsonString()} {file["added_tokens"]!.ToJsonString()}", file, 15);
        });

    [ReferenceFact]
    public void Normalised_text_and_added_tokens_in_it_are_the_references() =>
        Gen.Int[0, 3].Select(Gen.Int[0, int.MaxValue - 1]).Each(120, sample =>
        {
            var (kind, seed) = sample;
            var file = TokenizerFile.Make(Merges(seed)).SplitAsLlama3();
            file["normalizer"] = JsonNode.Parse(new[]
            {
                """{"type": "NFC"}""", """{"type": "NFD"}""", """{"type": "Sequence", "normalizers": []}""",
                """{"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "a"}, {"type": "NFD"}, {"type": "Replace", "pattern": {"String": "l"}, "content": "é"}, {"type": "Replace", "pattern": {"Regex": "[b-d]+"}, "content": ""}]}""",
            }[kind]);
            AddTokens(file, new Random(seed));
            Compare(file["normalizer"]!.ToJsonString() + file["added_tokens"]!.ToJsonString(), file, 15);
        });

    [ReferenceTheory]
    [InlineData("NFC")]
    [InlineData("NFD")]
    public void Every_character_is_normalised_as_the_reference_does(string form)
    {
        var file = TokenizerFile.Make(["h e"]).With(TokenizerFile.ByteLevel(regex: false));
        file["normalizer"] = new JsonObject { ["type"] = form };
        var ours = file.Load(folder);
        var reference = new ReferenceTokenizer(folder.Path);
        // Between letters, so that a mark has something to be composed with. The reference's Unicode is 12: it does not know the scripts with compositions that came since.
        (int First, int Last)[] younger = [(0x11900, 0x1195f), (0x105c0, 0x105ff), (0x11380, 0x113ff), (0x16100, 0x1613f), (0x16d40, 0x16d7f)];
        foreach (var chunk in Texts.Characters.Where(r => Rune.GetUnicodeCategory(r) != UnicodeCategory.OtherNotAssigned && !younger.Any(y => r.Value >= y.First && r.Value <= y.Last)).Chunk(2000))
        {
            var text = string.Concat(chunk.Select(r => $"e{r}a"));
            if (reference.Encode(text).SequenceEqual(ours.Encode(text))) continue;
            var different = chunk.Where(r => !reference.Encode($"e{r}a").SequenceEqual(ours.Encode($"e{r}a"))).Select(r => $"{r.Value:X}").ToList();
            Assert.True(different.Count == 0, string.Join(' ', different));
        }
    }

    [ReferenceFact]
    public void The_files_of_well_known_families_give_the_references_tokens()
    {
        const string gpt4o = @"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
        for (var seed = 0; seed < 4; seed++)
        {
            var qwen = TokenizerFile.Make(Merges(seed), "<|im_start|>", "<|im_end|>").With(TokenizerFile.Split(Patterns[2]), TokenizerFile.ByteLevel(regex: false));
            qwen["normalizer"] = new JsonObject { ["type"] = "NFC" };
            Compare("qwen", qwen, 60);
            var deepseek = TokenizerFile.Make(Merges(seed), "<｜User｜>", "<｜Assistant｜>").With(TokenizerFile.Split(@"\p{N}{1,3}"), TokenizerFile.Split(Patterns[5]), TokenizerFile.Split(Patterns[4]), TokenizerFile.ByteLevel(regex: false));
            deepseek["normalizer"] = JsonNode.Parse("""{"type": "Sequence", "normalizers": []}""");
            Compare("deepseek v3", deepseek, 60);
            Compare("llama 4", TokenizerFile.Make(Merges(seed), "<|header_start|>").With(TokenizerFile.Split(gpt4o), TokenizerFile.ByteLevel(regex: false)), 60);
            Compare("llama 2", TokenizerFile.MakeCharacters(CharacterMerges(seed), "helowrdabcx123_.▁é", "<s>", "</s>").SpacedAsLlama2(), 60);
            var mistral = TokenizerFile.MakeCharacters(CharacterMerges(seed), "helowrdabcx123_.▁é", "[INST]", "[/INST]");
            mistral["pre_tokenizer"] = TokenizerFile.Metaspace("first", split: false);
            Compare("mistral", mistral, 60);
        }
    }

    [ReferenceFact]
    public void Long_words_have_the_references_tokens()
    {
        var ours = TokenizerFile.Make(["l l", "ll ll", "llll llll", "a b", "ab a", "b ab", "ll a"]).SplitAsLlama3().Load(folder);
        var reference = new ReferenceTokenizer(folder.Path);
        foreach (var text in new[] { new string('l', 100_003), string.Concat(Enumerable.Repeat("abababl", 20_000)), string.Concat(Enumerable.Range(0, 50_000).Select(i => (i * 2654435761L >> 7) % 3 == 0 ? 'l' : (i & 1) == 0 ? 'a' : 'b')) })
            Same(reference, ours, text, text[..10]);
    }

    /// <summary>Some merges over the symbols that the texts have most of.</summary>
    private static string[] Merges(int seed)
    {
        var random = new Random(seed);
        List<string> symbols = [.. "helowrdabcx123_.'<>".Select(c => c.ToString()), "Ġ", "Ċ", "Ã", "©", "ð", "Ł", "ĳ", "â", "Ģ"];
        var merges = new List<string>();
        while (merges.Count < 40)
        {
            var (left, right) = (symbols[random.Next(symbols.Count)], symbols[random.Next(symbols.Count)]);
            if (symbols.Contains(left + right)) continue;
            symbols.Add(left + right);
            merges.Add($"{left} {right}");
        }

        return [.. merges];
    }

    /// <summary>Some merges over characters.</summary>
    private static string[] CharacterMerges(int seed)
    {
        var random = new Random(seed);
        List<string> symbols = [.. "helowrdabcx123_.".Select(c => c.ToString()), "▁", "▁", "é"];
        var merges = new List<string>();
        while (merges.Count < 40)
        {
            var (left, right) = (symbols[random.Next(symbols.Count)], symbols[random.Next(symbols.Count)]);
            if (symbols.Contains(left + right)) continue;
            symbols.Add(left + right);
            merges.Add($"{left} {right}");
        }

        return [.. merges];
    }

    private static JsonObject Step(int kind, Random random) => kind switch
    {
        0 => new JsonObject { ["type"] = "Digits", ["individual_digits"] = random.Next(2) == 0 },
        1 => new JsonObject { ["type"] = "Punctuation", ["behavior"] = Behaviors[random.Next(5)] },
        2 => TokenizerFile.Split(new[] { " ", "l", "ab", ".", "", "Ġ" }[random.Next(6)], Behaviors[random.Next(5)], random.Next(2) == 0, "String"),
        _ => TokenizerFile.Split(Patterns[random.Next(Patterns.Length)], Behaviors[random.Next(5)], random.Next(2) == 0),
    };

    private static void AddTokens(JsonObject file, Random random)
    {
        string[] contents = ["ab", "abcd", "b", " ", "  ", "<a>", "a𠮷", "é", "hello", "\n", "'s", "🙂", "_", "l", "cde a"];
        var vocabulary = file["model"]!["vocab"]!.AsObject();
        var next = vocabulary.Count;
        foreach (var content in contents.Where(_ => random.Next(3) == 0))
        {
            bool Flag(int of = 2) => random.Next(of) == 0;
            var id = vocabulary.TryGetPropertyValue(content, out var own) ? own!.GetValue<int>() : next++;
            // The reference panics where white space that strips before it was taken by what strips after it.
            file["added_tokens"]!.AsArray().Add(TokenizerFile.Added(id, content, Flag(), Flag(3) && !string.IsNullOrWhiteSpace(content), Flag(3), Flag(), Flag()));
        }
    }

    private void Compare(string what, JsonObject file, int texts)
    {
        HuggingFaceTokenizer ours;
        try
        {
            ours = file.Load(folder);
        }
        catch (TitanException e)
        {
            throw new InvalidOperationException($"{what}: {e.Message}", e);
        }

        var reference = new ReferenceTokenizer(folder.Path);
        Texts.Of(12).Each(texts, text => Same(reference, ours, text, what));
    }

    private static void Same(ReferenceTokenizer reference, HuggingFaceTokenizer ours, string text, string what)
    {
        int[] expected = reference.Encode(text), actual = [.. ours.Encode(text)];
        if (expected.SequenceEqual(actual)) return;
        var at = expected.Zip(actual).TakeWhile(p => p.First == p.Second).Count();
        Assert.Fail($"{what}\ntext {System.Text.Json.JsonSerializer.Serialize(text.Length > 300 ? text[..300] : text)}\nat {at} of {expected.Length} and {actual.Length}: "
            + $"reference {string.Join('|', expected.Skip(at).Take(20).Select(i => ours.Decode([i])))} ours {string.Join('|', actual.Skip(at).Take(20).Select(i => ours.Decode([i])))}");
    }
}
