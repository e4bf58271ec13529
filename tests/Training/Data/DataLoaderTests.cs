using System.Text.Json;
using CsCheck;
using Titan.Abstractions;
using Titan.Training.Data;

namespace Titan.Training.Tests.Data;

public sealed class DataLoaderTests : IDisposable
{
    private readonly TestFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void Documents_are_packed_with_their_borders_and_each_sequence_takes_one_token_more_than_its_length()
    {
        using var loader = Open(["abc", "de", "fghij"], length: 3, batch: 2);
        var first = loader.Next()!;
        // The stream is 1abc2 1de2 1fghij2, cut into fours.
        Assert.Equal([1, 'a', 'b', 2, 1, 'd'], first.Inputs);
        Assert.Equal(['a', 'b', 'c', 1, 'd', 'e'], first.Labels);
        var second = loader.Next()!;
        Assert.Equal([2, 1, 'f', 'h', 'i', 'j'], second.Inputs);
        Assert.Equal([1, 'f', 'g', 'i', 'j', 2], second.Labels);
    }

    [Fact]
    public void At_the_end_the_text_starts_over_and_what_was_left_is_used()
    {
        using var loader = Open(["abc"], length: 3);
        var epochs = new List<int>();
        loader.Repeated += epochs.Add;
        Assert.Equal("\u0001abc\u0002\u0001ab", Text(loader, 2));
        Assert.Equal([1], epochs);
    }

    [Fact]
    public void A_finite_stream_goes_on_from_the_last_token_and_fills_its_end_up_with_labels_that_are_ignored()
    {
        using var loader = Open(["abc", "d"], length: 3, batch: 2, infinite: false);
        // The stream is 1abc2 1d2.
        var first = loader.Next()!;
        Assert.Equal([1, 'a', 'b', 'c', 2, 1], first.Inputs);
        Assert.Equal(['a', 'b', 'c', 2, 1, 'd'], first.Labels);
        var last = loader.Next()!;
        Assert.Equal(['d', 0, 0, 0, 0, 0], last.Inputs);
        Assert.Equal([2, Batch.Ignored, Batch.Ignored, Batch.Ignored, Batch.Ignored, Batch.Ignored], last.Labels);
        Assert.Equal((6, 1), (first.Counted, last.Counted));
        Assert.Null(loader.Next());
        Assert.Null(loader.Next());
    }

    [Fact]
    public void Every_token_of_a_finite_stream_but_the_first_is_a_label_once_whatever_the_layout() =>
        Documents.Select(Gen.Int[1, 9], Gen.Int[1, 4], Gen.Int[1, 5]).Sample((documents, length, batch, world) =>
        {
            var stream = string.Concat(documents.Select(d => $"\u0001{d}\u0002"));
            var ranks = Ranks(documents, length, batch, world, infinite: false);
            var labels = new List<long>();
            var inputs = new List<long>();
            while (true)
            {
                var parts = ranks.Select(r => r.Next()).ToList();
                Assert.True(parts.All(p => p is null) || parts.All(p => p is not null));
                if (parts[0] is null) break;
                Assert.Contains(parts, p => p!.Counted > 0);
                foreach (var (input, label) in parts.SelectMany(p => p!.Inputs.Zip(p.Labels)).Where(p => p.Second != Batch.Ignored)) (inputs, labels) = ([.. inputs, input], [.. labels, label]);
            }

            Assert.Equal(stream[1..].Select(c => (long)c), labels);
            Assert.Equal(stream[..^1].Select(c => (long)c), inputs);
            Close(ranks);
        }, iter: 60, threads: 1);

    [Fact]
    public void Empty_short_and_long_documents_are_all_there()
    {
        var documents = new[] { "", "x", new string('y', 5000), "", "z" };
        using var loader = Open(documents, length: 7);
        var stream = string.Concat(documents.Select(d => $"\u0001{d}\u0002"));
        Assert.Equal(stream[..(stream.Length / 8 * 8)], Text(loader, stream.Length / 8));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    public void The_ranks_batches_one_after_the_other_are_the_stream_of_a_single_rank(int world) =>
        Documents.Select(Gen.Int[1, 9], Gen.Int[1, 4]).Sample((documents, length, batch) =>
        {
            using var single = Open(documents, length);
            var expected = Sequences(single, 3 * world * batch);
            var ranks = Ranks(documents, length, batch, world);
            Assert.Equal(expected, Interleaved(ranks, 3));
            Close(ranks);
        }, iter: 30, threads: 1);

    [Fact]
    public void A_step_trains_on_the_same_sequences_however_its_batch_is_split_into_ranks_and_micro_batches() =>
        Documents.Select(Gen.Int[1, 9]).Sample((documents, length) =>
        {
            var expected = Split(world: 1, batch: 12);
            foreach (var (world, batch) in new[] { (1, 1), (1, 4), (2, 6), (2, 3), (3, 1), (4, 3), (6, 2) }) Assert.Equal(expected, Split(world, batch));

            // Three steps of 12 sequences.
            List<string> Split(int world, int batch)
            {
                var ranks = Ranks(documents, length, batch, world);
                var sequences = Interleaved(ranks, 36 / (world * batch));
                Close(ranks);
                return sequences;
            }
        }, iter: 20, threads: 1);

    [Fact]
    public void A_stream_that_is_resumed_by_other_numbers_of_ranks_gives_the_sequences_of_one_that_never_stopped() =>
        Documents.Select(Gen.Int[1, 9], Gen.Int[0, 5].Select(Gen.Int[1, 5], Gen.Int[1, 3]).Array[1, 6]).Sample((documents, length, parts) =>
        {
            using var whole = Open(documents, length);
            var expected = Sequences(whole, parts.Sum(p => p.Item1 * p.Item2 * p.Item3));
            var actual = new List<string>();
            string? state = null;
            foreach (var (batches, world, batch) in parts)
            {
                var ranks = Ranks(documents, length, batch, world);
                // As a checkpoint does it: through JSON.
                if (state is not null) foreach (var rank in ranks) rank.Restore(DataState.Parse(state));
                actual.AddRange(Interleaved(ranks, batches));
                var states = ranks.Select(r => JsonSerializer.Serialize(r.Save())).Distinct().ToList();
                state = Assert.Single(states);
                Close(ranks);
            }

            Assert.Equal(expected, actual);
            Assert.Equal(JsonSerializer.Serialize(whole.Save()), state);
        }, iter: 50, threads: 1);

    [Fact]
    public void An_earlier_versions_position_is_that_of_its_only_rank_and_refused_where_there_were_more()
    {
        using var whole = Open(["ab", "cd", "ef"], length: 3);
        _ = Text(whole, 1);
        var old = JsonSerializer.Serialize(whole.Save())[..^1];
        using var resumed = Open(["ab", "cd", "ef"], length: 3);
        resumed.Restore(DataState.Parse(old + ",\"Rank\":0,\"World\":1}"));
        Assert.Equal(Text(whole, 4), Text(resumed, 4));
        var error = Assert.Throws<TitanException>(() => DataState.Parse(old + ",\"Rank\":1,\"World\":2}"));
        Assert.Equal(ExitCode.Data, error.Code);
        Assert.Contains("one of 2 data-parallel ranks", error.Message, StringComparison.Ordinal);
        Assert.Contains("--checkpoint.exclude_from_loading dataloader", error.Message, StringComparison.Ordinal);
        foreach (var none in new[] { "", "[]", "{}", old, old + ",\"Document\":-1}", old + ",\"Buffer\":null}" })
            Assert.ThrowsAny<JsonException>(() => DataState.Parse(none));
    }

    [Fact]
    public void A_position_at_the_very_end_of_the_text_goes_on_at_its_start()
    {
        using var whole = Open(["ab", "cd"], length: 3);
        _ = Text(whole, 2);
        var state = whole.Save();
        Assert.Equal((0, 2, 0), (state.Epoch, state.Document, state.Buffer.Length));
        using var resumed = Open(["ab", "cd"], length: 3);
        var epochs = new List<int>();
        resumed.Repeated += epochs.Add;
        resumed.Restore(state);
        Assert.Equal(Text(whole, 5), Text(resumed, 5));
        Assert.Equal([1, 2, 3], epochs);
    }

    [Fact]
    public void A_position_in_changed_files_is_refused()
    {
        using var loader = Open(["ab", "cd", "ef"], length: 3);
        _ = loader.Next();
        var state = loader.Save();
        foreach (var documents in new string[][] { ["ab", "cd"], ["ab", "cd", "eg"], ["ab", "cd", "ef", "gh"] })
        {
            using var changed = Open(documents, length: 3);
            Assert.Contains("the files of dataset 'text' changed", Refused(changed, state), StringComparison.Ordinal);
        }

        using var renamed = new DataLoader(new Corpus("text", [Copy(["ab", "cd", "ef"], "other.jsonl")]), new PlainDocuments(new CharacterTokenizer()), 0, 1, 1, 3, true);
        Assert.Contains("the files of dataset 'text' changed", Refused(renamed, state), StringComparison.Ordinal);
        using var tokenized = new DataLoader(new Corpus("text", [Copy(["ab", "cd", "ef"], "data.jsonl")]), new PlainDocuments(new CharacterTokenizer(hash: "another")), 0, 1, 1, 3, true);
        Assert.Contains("the tokenizer changed", Refused(tokenized, state), StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_that_moved_is_the_same_data()
    {
        using var loader = Open(["ab", "cd", "ef"], length: 3);
        _ = loader.Next();
        Directory.CreateDirectory(folder.At("moved"));
        using var moved = new DataLoader(new Corpus("text", [Copy(["ab", "cd", "ef"], "moved/data.jsonl")]), new PlainDocuments(new CharacterTokenizer()), 0, 1, 1, 3, true);
        moved.Restore(loader.Save());
        Assert.Equal(Text(loader, 4), Text(moved, 4));
    }

    [Fact]
    public void The_loader_counts_the_tokens_that_it_made_of_text()
    {
        using var loader = Open(["abc", "de"], length: 3);
        Assert.Equal((0, 0), loader.Tokenised);
        _ = Text(loader, 1);
        // With those that begin and end a document.
        Assert.Equal(5, loader.Tokenised.Tokens);
        _ = Text(loader, 1);
        Assert.Equal(9, loader.Tokenised.Tokens);
        Assert.True(loader.Tokenised.Seconds > 0);
    }

    [Fact]
    public void Text_without_documents_or_without_tokens_is_refused_instead_of_read_for_ever()
    {
        using (var none = Open([], length: 3)) Assert.Contains("has no document;", Refused(none), StringComparison.Ordinal);
        using (var none = Open([], length: 3, infinite: false)) Assert.Contains("has no document;", Refused(none), StringComparison.Ordinal);
        using (var none = Open([], length: 3, rank: 2, world: 4)) Assert.Contains("has no document;", Refused(none), StringComparison.Ordinal);
        using (var hollow = Open(["", ""], length: 3, borders: false)) Assert.Contains("no text in its 2 documents", Refused(hollow), StringComparison.Ordinal);
        using (var resumed = Open(["", ""], length: 3, borders: false))
        {
            resumed.Restore(resumed.Save() with { Document = 1, Buffer = ['x', 'y'] });
            Assert.Contains("no text in its 2 documents", Refused(resumed), StringComparison.Ordinal);
        }
    }

    private static Gen<string[]> Documents => Gen.String[Gen.Char['a', 'z'], 0, 30].Array[1, 12];

    private static string Refused(DataLoader loader, DataState? state = null)
    {
        var error = Assert.Throws<TitanException>(() =>
        {
            if (state is null) _ = loader.Next();
            else loader.Restore(state);
        });
        Assert.Equal(ExitCode.Data, error.Code);
        return error.Message;
    }

    /// <summary>The tokens that the next batches consume, as text.</summary>
    private static string Text(DataLoader loader, int batches) => string.Concat(Sequences(loader, batches));

    private static List<string> Sequences(DataLoader loader, int batches)
    {
        var sequences = new List<string>();
        for (var i = 0; i < batches && loader.Next() is { } batch; i++)
            for (var b = 0; b < batch.BatchSize; b++)
                sequences.Add(new CharacterTokenizer().Decode(batch.Inputs.Skip(b * batch.SeqLen).Take(batch.SeqLen).Append(batch.Labels[(b + 1) * batch.SeqLen - 1]).Select(t => (int)t)));
        return sequences;
    }

    /// <summary>The sequences of global micro-batches, in the order of ranks.</summary>
    private static List<string> Interleaved(IReadOnlyList<DataLoader> ranks, int batches)
    {
        var sequences = new List<string>();
        for (var i = 0; i < batches; i++)
        {
            var parts = ranks.Select(r => Sequences(r, 1)).ToList();
            Assert.Single(parts.Select(p => p.Count).Distinct());
            sequences.AddRange(parts.SelectMany(p => p));
        }

        return sequences;
    }

    private List<DataLoader> Ranks(string[] documents, int length, int batch, int world, bool infinite = true) =>
        [.. Enumerable.Range(0, world).Select(rank => Open(documents, length, batch, rank, world, infinite))];

    private static void Close(List<DataLoader> ranks) => ranks.ForEach(r => r.Dispose());

    private DataLoader Open(string[] documents, int length, int batch = 1, int rank = 0, int world = 1, bool infinite = true, bool borders = true) =>
        new(new Corpus("text", [Copy(documents, "data.jsonl")]), new PlainDocuments(new CharacterTokenizer(borders)), rank, world, batch, length, infinite);

    private string Copy(string[] documents, string name) => folder.Write(name, string.Concat(documents.Select(d => JsonSerializer.Serialize(new { text = d }) + "\n")));
}
