using Titan.Abstractions;
using Titan.Distributed;
using Titan.Models;
using Titan.Parallelism.Tests;
using Titan.Training.Configuration;
using Titan.Training.Data;
using Titan.Training.Loop;
using Titan.Models.Llama3;
using Titan.Training.Losses;
using Titan.Training.Tests.Data;
using static TorchSharp.torch;

namespace Titan.Training.Tests.Loop;

public sealed class ValidatorTests : IDisposable
{
    private const int SeqLen = 7;

    private static readonly string[] Documents = [.. Enumerable.Range(0, 23).Select(i => new string((char)('a' + i), 1 + i * 5 % 11))];

    private readonly TestFolder folder = new();

    public ValidatorTests() => folder.Write("text.jsonl", string.Concat(Documents.Select(d => $"{{\"text\":\"{d}\"}}\n")));

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_loss_of_the_whole_set_is_that_of_all_its_tokens_whatever_the_batch_size_and_the_number_of_ranks(bool fused)
    {
        using var model = Model();
        var expected = Expected(model);
        foreach (var (world, batch) in new[] { (1, 1), (1, 2), (1, 3), (1, 8), (1, 100), (2, 1), (2, 4), (3, 2), (4, 3), (5, 16) })
        {
            var means = ThreadRanks.Run(world, group => Validate(model, group, batch, steps: -1, fused));
            Assert.Single(means.Distinct());
            Assert.InRange(means[0], expected * (1 - 1e-6), expected * (1 + 1e-6));
        }
    }

    [Fact]
    public void A_number_of_steps_measures_as_many_batches_over_and_over_if_need_be()
    {
        using var model = Model();
        Assert.InRange(ThreadRanks.Run(2, group => Validate(model, group, 3, steps: 40, fused: false))[0], 4.0, 6.0);
    }

    [Fact]
    public void A_set_without_anything_to_predict_is_refused()
    {
        using var model = Model();
        folder.Write("text.jsonl", "{\"text\":\"a\"}\n");
        using var none = NewDisposeScope();
        var error = Assert.Throws<TitanException>(() => Run(model, new SingleRankGroup("world"), 2, -1, false, new CharacterTokenizer(borders: false)));
        Assert.Equal(ExitCode.Data, error.Code);
        Assert.Contains("no token that follows another; give more text (validation.dataset_path)", error.Message, StringComparison.Ordinal);
    }

    private static Decoder Model()
    {
        var model = new Llama3Args(32, 2, 4, 2, 128, MultipleOf: 16).Build(new ModelContext(SeqLen, CPU, ScalarType.Float32));
        model.SetComputeType(ScalarType.Float32);
        model.InitializeWeights(3);
        return model;
    }

    /// <summary>The stream's tokens, SeqLen at a time, each sequence alone and the last as long as it is.</summary>
    private static double Expected(Decoder model)
    {
        using var scope = NewDisposeScope();
        using var none = no_grad();
        var tokens = Documents.SelectMany(d => d.Select(c => (long)c).Prepend(1).Append(2)).ToArray();
        double sum = 0;
        for (var at = 0; at + 1 < tokens.Length; at += SeqLen)
        {
            var end = Math.Min(tokens.Length - 1, at + SeqLen);
            var logits = model.call(tensor(tokens[at..end]).unsqueeze(0)).to(ScalarType.Float64).squeeze(0);
            sum += nn.functional.cross_entropy(logits, tensor(tokens[(at + 1)..(end + 1)]), reduction: nn.Reduction.Sum).item<double>();
        }

        return sum / (tokens.Length - 1);
    }

    private double Validate(Decoder model, IProcessGroup world, int batch, int steps, bool fused) => Run(model, world, batch, steps, fused, new CharacterTokenizer());

    private double Run(Decoder model, IProcessGroup world, int batch, int steps, bool fused, CharacterTokenizer tokenizer)
    {
        var corpus = new Corpus("text", [folder.At("text.jsonl")]);
        var ranks = new TrainingRanks(new DeviceMesh(new ParallelDimensions(DataParallelShard: world.Size), world.Rank, (_, _) => world), world);
        var section = new ValidationSection { Enable = true, LocalBatchSize = batch, SeqLen = SeqLen, Steps = steps };
        var validator = new Validator(section, () => new DataLoader(corpus, new PlainDocuments(tokenizer), world.Rank, world.Size, batch, SeqLen, steps > 0),
            fused ? CrossEntropy.Chunked : CrossEntropy.Plain, b => new ModelBatch(b.InputsOn(CPU), b.LabelsOn(CPU)), ranks);
        return validator.Run(new ModelInputs(model, endOfDocument: null))!.Value.Loss;
    }
}
