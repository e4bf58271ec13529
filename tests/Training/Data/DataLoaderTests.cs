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
    public void A_finite_stream_ends_with_its_last_full_batch()
    {
        using var loader = Open(["abc", "def"], length: 3, infinite: false);
        Assert.NotNull(loader.Next());
        Assert.NotNull(loader.Next());
        Assert.Null(loader.Next());
        Assert.Null(loader.Next());
    }

    [Fact]
    public void Empty_short_and_long_documents_are_all_there()
    {
        var documents = new[] { "", "x", new string('y', 5000), "", "z" };
        using var loader = Open(documents, length: 7, infinite: false);
        var stream = string.Concat(documents.Select(d => $"\u0001{d}\u0002"));
        Assert.Equal(stream[..(stream.Length / 8 * 8)], Text(loader, int.MaxValue));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    public void The_ranks_share_the_documents_without_overlap(int world) =>
        Documents.Select(Gen.Int[1, 9]).Sample((documents, length) =>
        {
            var seen = Enumerable.Range(0, world).SelectMany(rank =>
            {
                // Documents are told apart by their number; a last long one pushes all others out of the buffer.
                string[] numbered = [.. documents.Select((d, i) => (char)(0x4000 + i) + d), .. Enumerable.Repeat(new string('~', 64), world)];
                using var loader = Open(numbered, length, rank: rank, world: world, infinite: false);
                return Text(loader, int.MaxValue).Where(c => c >= 0x4000);
            }).ToList();
            Assert.Equal(documents.Length, seen.Count);
            Assert.Equal(Enumerable.Range(0, documents.Length).Select(i => (char)(0x4000 + i)), seen.Order());
        }, iter: 30, threads: 1);

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    public void A_stream_that_is_resumed_any_number_of_times_gives_the_tokens_of_one_that_never_stopped(int world) =>
        Documents.Select(Gen.Int[1, 9], Gen.Int[0, 7].Array[1, 8]).Sample((documents, length, stops) =>
        {
            string[] enough = [.. documents, .. Enumerable.Repeat("end", world)];
            for (var rank = 0; rank < world; rank++)
            {
                using var whole = Open(enough, length, rank: rank, world: world);
                var expected = Text(whole, stops.Sum());
                var actual = "";
                DataState? state = null;
                foreach (var batches in stops)
                {
                    using var part = Open(enough, length, rank: rank, world: world);
                    // As a checkpoint does it: through JSON.
                    if (state is not null) part.Restore(JsonSerializer.Deserialize<DataState>(JsonSerializer.Serialize(state))!);
                    actual += Text(part, batches);
                    state = part.Save();
                }

                Assert.Equal(expected, actual);
                Assert.Equal(JsonSerializer.Serialize(whole.Save()), JsonSerializer.Serialize(state));
            }
        }, iter: 30, threads: 1);

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

        using var renamed = new DataLoader(new Corpus("text", [Copy(["ab", "cd", "ef"], "other.jsonl")]), new CharacterTokenizer(), 0, 1, 1, 3, true);
        Assert.Contains("the files of dataset 'text' changed", Refused(renamed, state), StringComparison.Ordinal);
        using var tokenized = new DataLoader(new Corpus("text", [Copy(["ab", "cd", "ef"], "data.jsonl")]), new CharacterTokenizer(hash: "another"), 0, 1, 1, 3, true);
        Assert.Contains("the tokenizer changed", Refused(tokenized, state), StringComparison.Ordinal);
        using var split = Open(["ab", "cd", "ef"], length: 3, rank: 1, world: 2);
        Assert.Contains("rank 0 of 1, this is rank 1 of 2", Refused(split, state), StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_that_moved_is_the_same_data()
    {
        using var loader = Open(["ab", "cd", "ef"], length: 3);
        _ = loader.Next();
        Directory.CreateDirectory(folder.At("moved"));
        using var moved = new DataLoader(new Corpus("text", [Copy(["ab", "cd", "ef"], "moved/data.jsonl")]), new CharacterTokenizer(), 0, 1, 1, 3, true);
        moved.Restore(loader.Save());
        Assert.Equal(Text(loader, 4), Text(moved, 4));
    }

    [Fact]
    public void Text_without_documents_without_tokens_or_without_any_for_a_rank_is_refused_instead_of_read_for_ever()
    {
        using (var none = Open([], length: 3)) Assert.Contains("has no document;", Refused(none), StringComparison.Ordinal);
        using (var none = Open([], length: 3, infinite: false)) Assert.Contains("has no document;", Refused(none), StringComparison.Ordinal);
        using (var few = Open(["a", "b"], length: 3, rank: 2, world: 4)) Assert.Contains("for data-parallel rank 2 of 4", Refused(few), StringComparison.Ordinal);
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
    private static string Text(DataLoader loader, int batches)
    {
        var text = "";
        for (var i = 0; i < batches && loader.Next() is { } batch; i++)
            for (var b = 0; b < batch.BatchSize; b++)
                text += new CharacterTokenizer().Decode(batch.Inputs.Skip(b * batch.SeqLen).Take(batch.SeqLen).Append(batch.Labels[(b + 1) * batch.SeqLen - 1]).Select(t => (int)t));
        return text;
    }

    private DataLoader Open(string[] documents, int length, int batch = 1, int rank = 0, int world = 1, bool infinite = true, bool borders = true) =>
        new(new Corpus("text", [Copy(documents, "data.jsonl")]), new CharacterTokenizer(borders), rank, world, batch, length, infinite);

    private string Copy(string[] documents, string name) => folder.Write(name, string.Concat(documents.Select(d => JsonSerializer.Serialize(new { text = d }) + "\n")));
}
