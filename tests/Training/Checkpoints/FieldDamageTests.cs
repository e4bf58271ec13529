using System.Text;
using System.Text.Json;
using Titan.Abstractions;
using Titan.Training.Checkpoints;
using Titan.Training.Data;
using Titan.Training.Loop;
using Titan.Training.Tests.Data;
using static TorchSharp.torch;

namespace Titan.Training.Tests.Checkpoints;

/// <summary>Each part of a checkpoint with generated faults in it, sealed again: it is refused as what it is, or what is read of it can be.</summary>
public sealed class FieldDamageTests : IDisposable
{
    private const int Tries = 600;

    private readonly TestFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void A_manifest_with_any_fault_is_refused_or_names_the_files_that_are_there()
    {
        using var store = new CheckpointStore(folder.At("run"), 0, writable: true, _ => { });
        store.SaveSmall(5);
        var path = folder.At("run", "step-5", CheckpointManifest.FileName);
        var (text, files) = (File.ReadAllText(path), store.Open(5).Manifest.Files);
        var refused = Count(seed =>
        {
            File.WriteAllText(path, JsonDamage.Make(text, seed));
            File.WriteAllText(folder.At("run", "step-5", CheckpointManifest.SealName), OpenedCheckpoint.Seal(File.ReadAllBytes(path)));
            var opened = store.Open(5).Manifest;
            Assert.Equal(files, opened.Files);
            Assert.Equal(5, opened.Step);
        });
        Assert.InRange(refused, Tries / 2, Tries);
    }

    [Fact]
    public void A_header_of_tensors_with_any_fault_is_refused_or_all_its_tensors_can_be_read()
    {
        using var scope = NewDisposeScope();
        var path = folder.At("good.safetensors");
        using (var file = new SafetensorsFile.HashedFile(SafetensorsFile.HashedFile.Create(path)))
            _ = SafetensorsFile.Write(file, [new TensorPart("w", arange(6).reshape(2, 3), new ShardLayout([4, 6], [2, 3], [2, 3])), TensorPart.Whole("b", ones(3)), TensorPart.Whole("none", ones(0, 2))]);
        var good = File.ReadAllBytes(path);
        var length = 8 + (int)BitConverter.ToInt64(good);
        var header = Encoding.UTF8.GetString(good, 8, length - 8).TrimEnd();
        var refused = Count(seed =>
        {
            var damaged = Encoding.UTF8.GetBytes(JsonDamage.Make(header, seed));
            var one = folder.Write("one.safetensors", [.. BitConverter.GetBytes((long)damaged.Length), .. damaged, .. good[length..]]);
            var entries = SafetensorsFile.ReadHeader(one);
            Assert.Equal(good.Length - length, entries.Values.Sum(e => e.Length));
            foreach (var entry in entries.Values) SafetensorsFile.Read(one, entry).Dispose();
        });
        Assert.InRange(refused, Tries / 2, Tries);
    }

    [Fact]
    public void Counts_with_any_fault_are_refused_or_fit_each_other()
    {
        var text = (new TrainState(7, 7000, 5) { SchedulerSteps = 9, EarlierSteps = 4, EarlierTokens = 4000 }).ToJson();
        Assert.Equal(text, TrainState.Parse(text, 7).ToJson());
        var refused = Count(seed =>
        {
            var state = TrainState.Parse(JsonDamage.Make(text, seed), 7);
            Assert.Equal(7, state.Step);
            Assert.InRange(state.TokensSeen, 7, 7L << 40);
            Assert.InRange(state.EarlierSteps, 0, int.MaxValue);
            Assert.InRange(state.EarlierTokens, state.EarlierSteps, state.EarlierSteps << 40);
            // Where the schedule has no count the file is of an earlier version, which forgot what was before.
            Assert.InRange(state.OptimizerSteps, 0, state.SchedulerSteps is null ? int.MaxValue : 7 + state.EarlierSteps);
            Assert.InRange(state.SchedulerSteps ?? 0, 0, 7 + state.EarlierSteps);
        });
        Assert.InRange(refused, Tries / 2, Tries);
    }

    [Fact]
    public void A_state_of_an_earlier_version_is_read_and_one_without_a_field_is_not()
    {
        Assert.Equal(new TrainState(3, 300, 3), TrainState.Parse("""{"Step":3,"TokensSeen":300,"OptimizerSteps":3}""", 3));
        foreach (var text in new[] { "{}", "null", "[]", """{"Step":3,"TokensSeen":300}""", """{"Step":3,"TokensSeen":300,"OptimizerSteps":-1}""", """{"Step":4,"TokensSeen":300,"OptimizerSteps":3}""" })
            Assert.ThrowsAny<JsonException>(() => TrainState.Parse(text, 3));
    }

    [Fact]
    public void A_data_position_with_any_fault_is_refused_or_gives_sequences_of_the_corpus()
    {
        using var loader = Loader();
        for (var i = 0; i < 3; i++) _ = loader.Next();
        var text = JsonSerializer.Serialize(loader.Save());
        var refused = Count(seed =>
        {
            var state = DataState.Parse(JsonDamage.Make(text, seed));
            state.ThrowIfBeyond(3 * 8);
            using var other = Loader();
            other.Restore(state);
            for (var i = 0; i < 3; i++) Assert.All(other.Next()!.Inputs, t => Assert.InRange(t, 0, new CharacterTokenizer().VocabularySize - 1));
        });
        Assert.InRange(refused, Tries / 2, Tries);
    }

    [Fact]
    public void A_position_that_the_corpus_does_not_have_leaves_the_loader_where_it_was()
    {
        using var loader = Loader();
        _ = loader.Next();
        var before = JsonSerializer.Serialize(loader.Save());
        var state = loader.Save();
        foreach (var (wrong, message) in new[]
        {
            (state with { Document = 11 }, "is after document 11, dataset 'text' has 10"), (state with { Document = long.MaxValue }, "dataset 'text' has 10"),
            (state with { Buffer = [5, 1 << 16] }, "holds token 65536, the tokenizer has 0 to 65535"), (state with { Buffer = [-1] }, "holds token -1"),
        })
        {
            var error = Assert.Throws<TitanException>(() => loader.Restore(wrong));
            Assert.Equal(ExitCode.Data, error.Code);
            Assert.Contains(message, error.Message, StringComparison.Ordinal);
            Assert.Contains("--checkpoint.exclude_from_loading dataloader", error.Message, StringComparison.Ordinal);
            Assert.Equal(before, JsonSerializer.Serialize(loader.Save()));
        }

        loader.Restore(state with { Document = 10 });
        Assert.NotNull(loader.Next());
    }

    private DataLoader Loader()
    {
        var path = folder.Write("text.txt", string.Join("\n\n", Enumerable.Range(0, 10).Select(i => new string((char)('a' + i), 3 + i))));
        return new DataLoader(new Corpus("text", [path]), new PlainDocuments(new CharacterTokenizer()), 0, 1, 2, 4, infinite: true);
    }

    /// <summary>How many of the tries were refused; whatever else is thrown fails the test.</summary>
    private static int Count(Action<int> read)
    {
        var refused = 0;
        for (var seed = 0; seed < Tries; seed++)
        {
            try
            {
                read(seed);
            }
            catch (TitanException e)
            {
                Assert.Equal(ExitCode.Data, e.Code);
                refused++;
            }
            catch (JsonException)
            {
                refused++;
            }
            catch (Exception e) when (e is not Xunit.Sdk.XunitException)
            {
                Assert.Fail($"seed {seed}: {e}");
            }
        }

        return refused;
    }
}
