using CsCheck;
using Titan.Abstractions;
using Titan.Training.Data;
using Titan.Training.Tokenizers;

namespace Titan.Training.Tests.Tokenizers;

public sealed class HuggingFaceTokenizerTests
{
    private static readonly HuggingFaceTokenizer Shipped = HuggingFaceTokenizer.Load(Path.Combine(SampleAssets.Root, "tokenizer"));

    [Fact]
    public void The_shipped_tokenizer_has_2048_entries_and_knows_where_documents_start_and_end()
    {
        Assert.Equal(2048, Shipped.VocabularySize);
        Assert.Equal(2046, Shipped.BosId);
        Assert.Equal(2047, Shipped.EosId);
    }

    [Fact]
    public void Frequent_words_are_one_token()
    {
        var ids = Shipped.Encode("The doctor lived in the garden.");
        Assert.Equal(7, ids.Count);
        Assert.Equal("The doctor lived in the garden.", Shipped.Decode(ids));
    }

    [Fact]
    public void Any_text_survives_encoding_and_decoding() =>
        Gen.OneOf(Gen.String, Gen.String[Gen.Char[' ', '~'], 0, 80], Gen.Const("naïve café 中文 \u00a0 🙂\n\n tabs\tand  spaces  "))
            .Where(s => !s.Any(char.IsSurrogate) || s.Contains("🙂"))
            .Sample(s => Shipped.Decode(Shipped.Encode(s)) == s);

    [Fact]
    public void A_folder_without_a_tokenizer_or_with_another_kind_is_an_error_that_says_so()
    {
        var folder = Directory.CreateTempSubdirectory("titan-tokenizer").FullName;
        try
        {
            Assert.Contains("tokenizer.json", Assert.Throws<TitanException>(() => HuggingFaceTokenizer.Load(folder)).Message);
            foreach (var text in new[] { "{", "[]", "{}", """{"model":{"type":"Unigram","vocab":[]}}""", """{"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}""" })
            {
                File.WriteAllText(Path.Combine(folder, "tokenizer.json"), text);
                Assert.Equal(ExitCode.Data, Assert.Throws<TitanException>(() => HuggingFaceTokenizer.Load(folder)).Code);
            }
        }
        finally
        {
            Directory.Delete(folder, true);
        }
    }
}
