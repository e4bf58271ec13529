using Titan.Abstractions;
using Titan.Models.Llama3;
using Titan.Training.Checkpoints;
using Titan.Training.Conversion;
using static TorchSharp.torch;

namespace Titan.Training.Tests.HuggingFace;

/// <summary>Both directions of a conversion, there and back to the byte; and what is refused.</summary>
public sealed class ConversionTests : IDisposable
{
    private readonly TestFolder folder = new();
    private readonly List<string> notes = [];

    private static WholeModel Model { get; } = WholeModel.Of("llama3/small", SmallFolder.Args.Flavor);

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.BFloat16)]
    [InlineData(ScalarType.Float16)]
    public void From_theirs_to_ours_and_back_every_byte_is_the_same(ScalarType type)
    {
        using var scope = NewDisposeScope();
        SmallFolder.Write(folder.At("theirs"), SmallFolder.Weights(type), largest: long.MaxValue);
        FromHuggingFace.Run(Request("theirs", "ours"));
        ToHuggingFace.Run(Request("ours", "again"));
        Assert.Equal(File.ReadAllBytes(folder.At("theirs", "model.safetensors")), File.ReadAllBytes(folder.At("again", "model.safetensors")));
        FromHuggingFace.Run(Request("again", "step-0"));
        Assert.Equal(File.ReadAllBytes(folder.At("ours", "model.safetensors")), File.ReadAllBytes(folder.At("step-0", "model.safetensors")));
        Assert.Empty(notes);
        Assert.Equal(("llama3", "small", 0L), (Opened("ours").Manifest.Metadata["model.name"], Opened("ours").Manifest.Metadata["model.flavor"], Opened("ours").Manifest.Step));
        foreach (var name in new[] { "theirs", "ours", "again" }) FolderVerification.Run(FolderSummary.Of(folder.At(name)), Model, (_, _) => _ => { }, notes.Add);
    }

    [Fact]
    public void Parts_of_several_ranks_and_a_dtype_to_export_make_the_same_file_as_whole_tensors()
    {
        using var scope = NewDisposeScope();
        var weights = SmallFolder.Weights();
        _ = Parallelism.Tests.ThreadRanks.Run(3, world =>
        {
            using var store = new CheckpointStore(folder.At("run"), 0, writable: true, notes.Add, world);
            store.Save(4, new CheckpointContents(new Dictionary<string, IReadOnlyList<TensorPart>> { ["model.safetensors"] = SmallFolder.Split(weights, "rows", world) }, new Dictionary<string, string>(), new Dictionary<string, string>()));
            return 0;
        });
        ToHuggingFace.Run(Request(Path.Combine("run", "step-4"), "theirs") with { Type = ScalarType.BFloat16 });
        SmallFolder.Write(folder.At("expected"), weights, largest: long.MaxValue, type: ScalarType.BFloat16);
        Assert.Equal(File.ReadAllBytes(folder.At("expected", "model.safetensors")), File.ReadAllBytes(folder.At("theirs", "model.safetensors")));
        Assert.Equal(4, FolderSummary.Of(folder.At("theirs")).Step);
    }

    [Fact]
    public void Weights_that_the_dtype_cannot_hold_are_refused_and_leave_nothing()
    {
        using var scope = NewDisposeScope();
        var weights = SmallFolder.Weights();
        weights[0].Tensor.view(-1)[3] = 70000;
        SmallFolder.Write(folder.At("theirs"), weights);
        Assert.Contains($"{weights[0].Name} holds NaN or infinity, or what Float16 cannot hold", Refused(() => FromHuggingFace.Run(Request("theirs", "ours") with { Type = ScalarType.Float16 })), StringComparison.Ordinal);
        FromHuggingFace.Run(Request("theirs", "whole"));
        Assert.Contains($"{weights[0].Name} holds values that Float16 cannot hold", Refused(() => ToHuggingFace.Run(Request("whole", "again") with { Type = ScalarType.Float16 })), StringComparison.Ordinal);
        Assert.Equal(["theirs", "whole"], Directory.EnumerateFileSystemEntries(folder.Path).Select(f => Path.GetFileName(f)).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Another_model_a_name_that_is_taken_and_another_step_are_refused()
    {
        using var scope = NewDisposeScope();
        SmallFolder.Write(folder.At("theirs"), SmallFolder.Weights());
        FromHuggingFace.Run(Request("theirs", "ours"));
        var wide = WholeModel.Of("llama3/wide", new Llama3Args(64, 3, 4, 2, 64, MultipleOf: 32).Flavor);
        Assert.Contains("is not of model llama3/wide:", Refused(() => ToHuggingFace.Run(new ConversionRequest(folder.At("ours"), folder.At("x"), wide))), StringComparison.Ordinal);
        Assert.Contains("norm.weight is [32], expected [64]", Refused(() => FolderVerification.Run(FolderSummary.Of(folder.At("ours")), wide, (_, _) => _ => { }, notes.Add)), StringComparison.Ordinal);
        Assert.Contains("exists already and is not empty", Refused(() => ToHuggingFace.Run(Request("ours", "theirs"))), StringComparison.Ordinal);
        Assert.Contains("call it step-0", Assert.Throws<TitanException>(() => FromHuggingFace.Run(Request("theirs", "step-5"))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_changed_byte_is_found_in_both_kinds()
    {
        using var scope = NewDisposeScope();
        SmallFolder.Write(folder.At("theirs"), SmallFolder.Weights());
        FromHuggingFace.Run(Request("theirs", "ours"));
        ToHuggingFace.Run(Request("ours", "again"));
        foreach (var name in new[] { "ours", "again" })
        {
            using (var file = File.OpenWrite(folder.At(name, "model.safetensors")))
            {
                file.Position = file.Length - 5;
                file.WriteByte(1);
            }

            Assert.Contains("the SHA-256 of model.safetensors differs", Refused(() => FolderVerification.Run(FolderSummary.Of(folder.At(name)), null, (_, _) => _ => { }, notes.Add)), StringComparison.Ordinal);
        }
    }

    [Fact]
    public void What_was_broken_off_is_started_over_and_one_that_is_written_is_left_alone()
    {
        using var scope = NewDisposeScope();
        SmallFolder.Write(folder.At("theirs"), SmallFolder.Weights());
        Directory.CreateDirectory(folder.At(".ours.converting"));
        File.WriteAllText(folder.At(".ours.converting", "model.safetensors"), "a part");
        FromHuggingFace.Run(Request("theirs", "ours"));
        Assert.Contains("was broken off; it starts over", Assert.Single(notes), StringComparison.Ordinal);
        Assert.Equal(["ours", "theirs"], Directory.EnumerateFileSystemEntries(folder.Path).Select(f => Path.GetFileName(f)).Order(StringComparer.Ordinal));
        using var other = PendingFolder.Begin(folder.At("held"), 0, notes.Add);
        Assert.Contains("is in use by another", Refused(() => FromHuggingFace.Run(Request("theirs", "held"))), StringComparison.Ordinal);
    }

    private ConversionRequest Request(string from, string to) => new(folder.At(from), folder.At(to), Model) { Note = notes.Add };

    private OpenedCheckpoint Opened(string name) => CheckpointStore.OpenFolder(folder.At(name));

    private static string Refused(Action action)
    {
        var error = Assert.Throws<TitanException>(action);
        Assert.Equal(ExitCode.Data, error.Code);
        return error.Message;
    }
}
