using System.IO.Compression;
using System.Text;
using System.Text.Json;
using Titan.SampleCorpus;
using Titan.Training.Data;
using Titan.Training.Tokenizers;

namespace Titan.Training.Tests.Data;

/// <summary>What is shipped is what eng/SampleCorpus makes, so that it can be trusted and made anew.</summary>
public sealed class SampleCorpusTests
{
    [Theory]
    [InlineData("train.jsonl.gz", SampleFiles.TrainingSeed, SampleFiles.TrainingBytes)]
    [InlineData("validation.jsonl.gz", SampleFiles.ValidationSeed, SampleFiles.ValidationBytes)]
    public void The_generator_makes_the_shipped_text_again_from_its_seed(string name, ulong seed, int bytes)
    {
        // The text and not the .gz: how zlib packs it may differ from version to version.
        using var stream = new GZipStream(File.OpenRead(Path.Combine(SampleAssets.Root, "sample", name)), CompressionMode.Decompress);
        using var reader = new StreamReader(stream, Encoding.UTF8);
        Assert.True(string.Concat(SampleFiles.Lines(seed, bytes)) == reader.ReadToEnd(), $"{name} is not what seed {seed} gives");
    }

    [Fact]
    public void The_generator_makes_the_shipped_conversations_again() =>
        Assert.Equal(string.Concat(SampleFiles.Conversations()), File.ReadAllText(Path.Combine(SampleAssets.Root, "sample", "chat.jsonl")));

    [Fact]
    public void The_shipped_merges_begin_with_those_that_training_on_the_shipped_text_finds()
    {
        // Each merge follows from the text and the merges before it; all 1790 would take minutes.
        const int first = 12;
        var text = TextFiles.Read(Path.Combine(SampleAssets.Root, "sample", "train.jsonl.gz"));
        var (symbols, merges) = BpeTrainer.Train(text, 256 + first);
        using var shipped = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(SampleAssets.Root, "tokenizer", "tokenizer.json")));
        var model = shipped.RootElement.GetProperty("model");
        Assert.Equal(merges.Select(m => $"{m.Left} {m.Right}"), model.GetProperty("merges").EnumerateArray().Take(first).Select(m => m.GetString()));
        Assert.Equal(symbols, model.GetProperty("vocab").EnumerateObject().Take(256 + first).Select(v => v.Name));
        Assert.Equal(SampleFiles.Vocabulary - SampleFiles.Special.Length, model.GetProperty("vocab").EnumerateObject().Count());
    }

    [Fact]
    public void The_shipped_merges_written_again_are_the_shipped_file()
    {
        var folder = Path.Combine(SampleAssets.Root, "tokenizer");
        using var shipped = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "tokenizer.json")));
        var model = shipped.RootElement.GetProperty("model");
        using var again = new TestFolder();
        SampleFiles.WriteTokenizer(again.Path, [.. model.GetProperty("vocab").EnumerateObject().Select(v => v.Name)],
            [.. model.GetProperty("merges").EnumerateArray().Select(m => m.GetString()!.Split(' ')).Select(m => (m[0], m[1]))]);
        foreach (var name in new[] { "tokenizer.json", "tokenizer_config.json" })
            Assert.Equal(File.ReadAllText(Path.Combine(folder, name)), File.ReadAllText(again.At(name)));
    }

    [Fact]
    public void A_small_text_trains_to_a_tokenizer_that_uses_its_words()
    {
        var (symbols, merges) = BpeTrainer.Train(Enumerable.Repeat("low low low lower lowest", 10), 256 + 4);
        // low occurs 50 times; of the pairs that are equally frequent, ordinal order decides.
        Assert.Equal([("l", "o"), ("lo", "w"), ("Ġ", "low"), ("Ġlow", "e")], merges);
        Assert.Equal(["lo", "low", "Ġlow", "Ġlowe"], symbols.Skip(256));
        Assert.Equal(256 + 7, BpeTrainer.Train(["low lower lowest"], 5000).Symbols.Count);
    }
}
