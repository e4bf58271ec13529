using Titan.Abstractions;
using Titan.Parallelism.Tests;
using Titan.Training.Checkpoints;
using Titan.Training.HuggingFace;
using static TorchSharp.torch;

namespace Titan.Training.Tests.HuggingFace;

/// <summary>Ranks write one folder together, and each reads what it keeps and nothing else.</summary>
public sealed class RanksTests : IDisposable
{
    private readonly TestFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData(2, "rows")]
    [InlineData(4, "rows")]
    [InlineData(3, "columns")]
    [InlineData(4, "columns")]
    public void However_many_ranks_write_the_files_are_those_of_one(int ranks, string how)
    {
        using var scope = NewDisposeScope();
        var whole = SmallFolder.Weights();
        SmallFolder.Write(folder.At("one"), whole);
        _ = ThreadRanks.Run(ranks, world =>
        {
            using var inner = NewDisposeScope();
            SmallFolder.Write(folder.At("many"), SmallFolder.Split(whole, how, world), world);
            return 0;
        });
        Assert.True(Directory.EnumerateFiles(folder.At("one"), "*.safetensors").Count() > 3);
        Assert.Equal(Bytes("one"), Bytes("many"));
    }

    [Theory]
    [InlineData(1, "rows", ScalarType.Float32)]
    [InlineData(2, "rows", ScalarType.BFloat16)]
    [InlineData(4, "rows", ScalarType.Float32)]
    [InlineData(2, "columns", ScalarType.Float32)]
    [InlineData(4, "columns", ScalarType.BFloat16)]
    public void Each_rank_reads_its_share_and_not_a_byte_more(int ranks, string how, ScalarType type)
    {
        using var scope = NewDisposeScope();
        var whole = SmallFolder.Weights(type);
        SmallFolder.Write(folder.At("run"), whole);
        var read = ThreadRanks.Run(ranks, world =>
        {
            using var inner = NewDisposeScope();
            var own = SmallFolder.Split(whole, how, world);
            List<TensorPart> targets = [.. own.Select(p => p with { Tensor = full([.. p.Layout.Shape], double.NaN) })];
            var weights = HuggingFaceWeights.Open(folder.At("run"), "key", "llama3/small", SmallFolder.Format, _ => { }, world);
            weights.Load(targets);
            Assert.Equal(own.Sum(p => p.Tensor.numel() * p.Tensor.element_size()), weights.BytesRead);
            foreach (var (expected, actual) in own.Zip(targets)) Assert.True(expected.Tensor.to(ScalarType.Float32).eq(actual.Tensor).all().item<bool>(), expected.Name);
            return weights.BytesRead;
        });
        Assert.Equal(HuggingFaceFolder.Open(folder.At("run"), "key").Bytes, read.Sum());
    }

    [Fact]
    public void What_is_wrong_on_one_rank_ends_all_with_one_message()
    {
        using var scope = NewDisposeScope();
        SmallFolder.Write(folder.At("run"), SmallFolder.Weights());
        File.Delete(folder.At("run", "config.json"));
        File.WriteAllText(folder.At("run", "config.json"), """{"model_type":"gpt2"}""");
        var messages = ThreadRanks.Run(3, world => Assert.Throws<TitanException>(() => HuggingFaceWeights.Open(folder.At("run"), "key", "llama3/small", SmallFolder.Format, _ => { }, world)).Message);
        Assert.Contains("it is of another architecture: model_type is \"gpt2\", expected \"llama\" (config.json)", Assert.Single(messages.Distinct()), StringComparison.Ordinal);
    }

    private Dictionary<string, string> Bytes(string name) => Directory.EnumerateFiles(folder.At(name)).ToDictionary(f => Path.GetFileName(f), f => System.Convert.ToHexString(File.ReadAllBytes(f)));
}
