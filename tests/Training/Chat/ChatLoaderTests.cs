using System.Text.Json;
using CsCheck;
using Titan.Abstractions;
using Titan.Models;
using Titan.Models.Llama3;
using Titan.Training.Chat;
using Titan.Training.Data;
using Titan.Training.Loop;
using Titan.Training.Tests.Data;
using static TorchSharp.torch;

namespace Titan.Training.Tests.Chat;

/// <summary>Conversations in sequences: each whole in one, others beside it.</summary>
public sealed class ChatLoaderTests : IDisposable
{
    private readonly TestFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void Conversations_lie_whole_in_sequences_and_only_answers_are_labels()
    {
        using var loader = Open(Lines(("ab", "cd"), ("e", "f"), ("ghi", "jkl")), length: 10);
        // 1 starts a document and 2 ends it: [1abcd2], [1ef2], and ten tokens' place for both; what does not fit comes next.
        var first = loader.Next()!;
        Assert.Equal([1, 'a', 'b', 'c', 'd', 2, 1, 'e', 'f', 2], first.Inputs);
        Assert.Equal([-100, -100, 'c', 'd', 2, -100, -100, 'f', 2, -100], first.Labels);
        Assert.Equal([0, 0, 0, 0, 0, 0, 1, 1, 1, 1], first.Documents!);
        Assert.Equal(5, first.Counted);
        var second = loader.Next()!;
        Assert.Equal([1, 'g', 'h', 'i', 'j', 'k', 'l', 2], second.Inputs.Take(8));
        Assert.Equal([-100, -100, -100, 'j', 'k', 'l', 2, -100, -100, -100], second.Labels);
    }

    [Fact]
    public void What_is_longer_than_a_sequence_is_cut_and_counted_and_left_out_where_nothing_is_left_to_learn()
    {
        using var loader = Open(Lines(("ab", "cdefgh"), ("abcdefgh", "i"), ("x", "y")), length: 5);
        var cut = new List<long>();
        loader.Cut += cut.Add;
        Assert.Equal([-100, -100, 'c', 'd', 'e'], loader.Next()!.Labels);
        Assert.Equal([-100, 'y', 2, -100, -100], loader.Next()!.Labels);
        // The second sequence has room, so the corpus was begun anew.
        Assert.Equal([1L, 2, 3], cut);
        using var none = Open(Lines(("abcdefgh", "i")), length: 5);
        var error = Assert.Throws<TitanException>(() => none.Next());
        Assert.Contains("no answer that begins within seq_len in its 1 documents", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_conversation_is_in_one_sequence_on_one_rank_and_any_number_of_ranks_goes_on_from_any_position() =>
        Gen.Select(Gen.Int[0, 6].Array[1, 9], Gen.Int[5, 14], Gen.Int[1, 3], Gen.Int[1, 2], Gen.Bool).Sample((sizes, length, world, batch, infinite) =>
        {
            // One of them fits for sure.
            (string Prompt, string Completion)[] pairs = [.. sizes.Append(0).Select((s, i) => (new string((char)('a' + i), s), new string((char)('A' + i), 1 + s % 3)))];
            var lines = Lines(pairs);
            const int steps = 12;
            var one = Sequences(lines, length, 1, world * batch, infinite, steps);
            var many = Enumerable.Range(0, world).Select(r => Open(lines, length, batch, r, world, infinite)).ToList();
            var read = new List<string>();
            for (var step = 0; step < steps; step++)
            {
                if (step == 1)
                {
                    // Others go on from the position of any.
                    var state = DataState.Parse(JsonSerializer.Serialize(many[^1].Save()));
                    many.ForEach(m => m.Dispose());
                    many = [.. Enumerable.Range(0, world).Select(r => Open(lines, length, batch, r, world, infinite))];
                    many.ForEach(m => m.Restore(state));
                }

                read.AddRange(many.Select(m => m.Next()).Where(b => b is not null).SelectMany(b => Shown(b!)));
            }

            many.ForEach(m => m.Dispose());
            Assert.Equal(one, read);
            if (infinite) return;
            foreach (var text in pairs.Select(p => $"\u0001{p.Prompt}{p.Completion}\u0002").Where(t => t.Length <= length + 1))
                Assert.Equal(1, one.Count(s => s.Contains(text, StringComparison.Ordinal)));
        }, threads: 1);

    [Fact]
    public void Where_attention_stays_within_documents_a_conversation_does_not_see_its_neighbour()
    {
        using var scope = NewDisposeScope();
        const int length = 12;
        var model = new Llama3Args(32, 2, 4, 2, 128, MultipleOf: 32, DocumentMask: true).Build(new ModelContext(length, CPU, ScalarType.Float32));
        model.InitializeWeights(3);
        model.SetComputeType(ScalarType.Float32);
        // The tokenizer names no end of documents that would tell.
        var inputs = new ModelInputs(model, endOfDocument: null);
        Tensor Logits(string lines)
        {
            using var loader = Open(lines, length);
            var batch = loader.Next()!;
            return inputs.Forward(new ModelBatch(batch.InputsOn(CPU), batch.LabelsOn(CPU)) { Documents = batch.DocumentsOn(CPU) });
        }

        Tensor both = Logits(Lines(("abc", "d"), ("efg", "h"))), alone = Logits(Lines(("efg", "h"), ("abc", "d")));
        Assert.True((both[0, 6..12] - alone[0, 0..6]).abs().max().item<float>() < 1e-4);
        Assert.True((both[0, 6..12] - both[0, 0..6]).abs().max().item<float>() > 1e-2);
    }

    [Fact]
    public void A_position_of_another_template_does_not_fit()
    {
        var lines = Lines(("ab", "cd"));
        using var plain = Open(lines, 10);
        plain.Next();
        var state = plain.Save() with { Tokenizer = "characters,chatml" };
        Assert.Contains("the tokenizer or model.chat_template changed since", Assert.Throws<TitanException>(() => plain.Restore(state)).Message, StringComparison.Ordinal);
        Assert.Contains("holds token", Assert.Throws<TitanException>(() => plain.Restore(plain.Save() with { Buffer = [int.MinValue] })).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_bad_line_is_named_by_file_and_line_and_only_files_of_lines_are_taken()
    {
        folder.Write("data.jsonl", Lines(("a", "b")) + "\n{\"messages\": 3}\n");
        using var loader = Load(folder.At("data.jsonl"), 30);
        var error = Assert.Throws<TitanException>(() => loader.Next());
        Assert.StartsWith($"{folder.At("data.jsonl")}:3: no conversation: expected", error.Message, StringComparison.Ordinal);
        folder.Write("text.txt", "x");
        Assert.Contains("expected one of: .jsonl, .json, .jsonl.gz, .json.gz", Assert.Throws<TitanException>(() => Datasets.Open("chat", folder.At("text.txt"))).Message, StringComparison.Ordinal);
        Assert.Contains("set training.dataset_path to a file or folder of conversations", Assert.Throws<TitanException>(() => Datasets.Open("chat", null)).Message, StringComparison.Ordinal);
    }

    private static string Lines(params (string Prompt, string Completion)[] pairs) =>
        string.Concat(pairs.Select(p => JsonSerializer.Serialize(new { prompt = p.Prompt, completion = p.Completion }) + "\n"));

    private List<string> Sequences(string lines, int length, int world, int batch, bool infinite, int batches)
    {
        using var loader = Open(lines, length, batch, 0, world, infinite);
        return [.. Enumerable.Range(0, batches).Select(_ => loader.Next()).Where(b => b is not null).SelectMany(b => Shown(b!))];
    }

    /// <summary>Inputs, the label after the last, and which labels count.</summary>
    private static IEnumerable<string> Shown(Batch batch) => Enumerable.Range(0, batch.BatchSize).Select(row =>
    {
        var inputs = batch.Inputs.Skip(row * batch.SeqLen).Take(batch.SeqLen).ToList();
        var labels = batch.Labels.Skip(row * batch.SeqLen).Take(batch.SeqLen).ToList();
        // The last token of all is a label and no input.
        for (var i = 0; i + 1 < inputs.Count; i++) Assert.True(labels[i] == Batch.Ignored || labels[i] == inputs[i + 1] || inputs.Skip(i + 1).All(t => t == 0));
        var documents = batch.Documents!.Skip(row * batch.SeqLen).Take(batch.SeqLen).ToList();
        for (var i = 1; i < inputs.Count; i++) Assert.Equal(inputs[i] is 1 or 0, documents[i] != documents[i - 1] || documents[i] == -1);
        return string.Concat(inputs.Append(0).Select((token, i) => (char)(i > 0 && labels[i - 1] != Batch.Ignored ? labels[i - 1] : token)));
    });

    private DataLoader Open(string lines, int length, int batch = 1, int rank = 0, int world = 1, bool infinite = true)
    {
        folder.Write("data.jsonl", lines);
        return Load(folder.At("data.jsonl"), length, batch, rank, world, infinite);
    }

    private static DataLoader Load(string path, int length, int batch = 1, int rank = 0, int world = 1, bool infinite = true)
    {
        var tokenizer = new CharacterTokenizer();
        return new DataLoader(Datasets.Open("chat", path), new ChatDocuments(tokenizer, ChatTemplate.Find("plain", tokenizer)), rank, world, batch, length, infinite);
    }
}
