using System.Globalization;
using System.Text.RegularExpressions;
using Titan.Abstractions;
using Titan.Plugins.Parallelism;
using Titan.Training.Configuration;
using Titan.Training.Loop;
using Titan.Models;
using Titan.Training.Models;
using Titan.Training.Parallel;
using static TorchSharp.torch;

namespace Titan.Parallelism.Tests;

/// <summary>
/// The trainer with ranks that share sequences: a stand-in for context parallelism gives each its part, of a model whose tokens do not look at each other. Losses, norms and validation are
/// those of one rank, so nothing in the trainer counts a token twice or leaves one out.
/// </summary>
public sealed class SharedSequenceTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("shared-sequence").FullName;

    public void Dispose() => Directory.Delete(folder, true);

    [Theory]
    [InlineData(1, 1, 2)]
    [InlineData(1, 2, 2)]
    [InlineData(2, 1, 2)]
    [InlineData(1, 1, 4)]
    public void Ranks_that_share_sequences_train_as_one_rank_does(int replicate, int shard, int context)
    {
        var sizes = new ParallelDimensions(replicate, shard, context);
        var expected = Train(Job("one", 4), TrainingRanks.Single, []);
        var many = ThreadRanks.Run(sizes, mesh => Train(Job("many", 4 / sizes.Batch), new TrainingRanks(mesh, mesh.Loss),
        [
            Of(MeshAxis.ContextParallel, new HeadTail()), Of(MeshAxis.DataParallelShard, new FullyShardedDataParallel()), Of(MeshAxis.DataParallelReplicate, new ReplicatedDataParallel()),
        ]));
        foreach (var rank in many)
        {
            foreach (var (one, other) in expected.Losses.Zip(rank.Losses)) Assert.Equal(one, other, 1e-5 * Math.Abs(one));
            // Printed with four and five decimals.
            foreach (var (one, other) in expected.Printed.Zip(rank.Printed)) Assert.Equal(one, other, 1.1e-4);
        }
    }

    private static JobParallelism Of(MeshAxis axis, IParallelism parallelism) => new(axis, "test", parallelism, Activator.CreateInstance(parallelism.OptionsType)!);

    private JobConfig Job(string run, int localBatch) => new()
    {
        Job = new JobSection { DumpFolder = Path.Combine(folder, run) },
        Model = new ModelSection { Name = "places", Flavor = "tiny" },
        Training = new TrainingSection { SeqLen = 16, LocalBatchSize = localBatch, GlobalBatchSize = 8, Steps = 4, MixedPrecisionParam = "float32", MaxNorm = 0.5 },
        LrScheduler = new LrSchedulerSection { WarmupSteps = 1 },
        Debug = new DebugSection { Seed = 1 },
        Metrics = new MetricsSection { LogFreq = 1 },
        Validation = new ValidationSection { Enable = true, LocalBatchSize = localBatch, SeqLen = 16, Steps = 3, Freq = 2 },
    };

    /// <summary>The loss of each step, and its norm and validation loss as they are printed.</summary>
    private static (List<double> Losses, List<double> Printed) Train(JobConfig job, TrainingRanks ranks, IReadOnlyList<JobParallelism> parallelisms)
    {
        var models = new ModelRegistry();
        models.Register("places", new Dictionary<string, ModelFlavor> { ["tiny"] = new(Places.Numbers, context => new Places(context.Length, context.Device, context.Type)) });
        var values = new List<double>();
        void Log(string line)
        {
            if (Regex.Match(line, @"^validate step: +\d+ +loss: +([\d.]+)") is { Success: true } validated) values.Add(double.Parse(validated.Groups[1].Value, CultureInfo.InvariantCulture));
            else if (Regex.Match(line, @"grad_norm: +([\d.]+)") is { Success: true } norm) values.Add(double.Parse(norm.Groups[1].Value, CultureInfo.InvariantCulture));
        }

        using var trainer = new Trainer(new TrainerDependencies(job, models, [], new Dictionary<string, string>(), Log, _ => { }, false) { Ranks = ranks, Parallelisms = parallelisms });
        var losses = new List<double>();
        trainer.Stepped += (_, loss) => losses.Add(loss);
        trainer.Run(CancellationToken.None);
        Assert.Equal((4, 4 + 3), (losses.Count, values.Count));
        return (losses, values);
    }

    /// <summary>Upstream's load balance: of 2 * cp pieces of a sequence each rank has one from its head and one from its tail.</summary>
    private sealed class HeadTail : IParallelism
    {
        public ParallelismPlan Plan(ParallelizationContext context) => new([]);

        public IAppliedParallelism Apply(ParallelizationContext context) => new Split(context.Group);
    }

    private sealed class Split(IProcessGroup group) : IAppliedParallelism
    {
        public ModelBatch ShareOf(ModelBatch batch)
        {
            var piece = batch.Tokens.shape[1] / (2 * group.Size);
            var positions = cat([arange(group.Rank * piece, (group.Rank + 1) * piece), arange((2 * group.Size - 1 - group.Rank) * piece, (2 * group.Size - group.Rank) * piece)]);
            return new ModelBatch(batch.Tokens.index_select(1, positions), batch.Labels.index_select(1, positions), positions);
        }
    }

    /// <summary>Each token's vector, and that of its place, make its logits.</summary>
    private sealed class Places : LanguageModel
    {
        private const int Width = 16, Vocabulary = 2048;

        private readonly Embedding tokens, places;
        private readonly Linear head;

        public Places(int length, Device device, ScalarType type) : base("places")
        {
            (tokens, places, head) = (new Embedding(Vocabulary, Width, device, type), new Embedding(length, Width, device, type), new Linear(Width, Vocabulary, false, device, type));
            register_module("tokens", tokens);
            register_module("places", places);
            register_module("head", head);
        }

        public static ModelCounts Numbers { get; } = new(2 * Vocabulary * Width + 16 * Width, Vocabulary * Width, 1, 1, Width, Width, 1, Width, Vocabulary);

        public override ModelCounts Counts => Numbers;

        public override IReadOnlyList<(string Fqn, nn.Module Module)> Blocks => [];

        public override Tensor forward(ModelInput input)
        {
            using var scope = NewDisposeScope();
            return head.call(tokens.call(input.Tokens) + places.call(input.Positions ?? arange(input.Tokens.shape[1]))).MoveToOuterDisposeScope();
        }

        protected override Initializer InitializerOf(string fqn) => new Waves();

        public override void SetComputeType(ScalarType type) => (tokens.ComputeType, places.ComputeType) = (type, type);

        public override void SetCheckpointing(int index, BlockCheckpointing mode)
        {
            // It has no blocks.
        }
    }

    /// <summary>Not drawn: ranks are threads, which share the generator.</summary>
    private sealed record Waves : Initializer
    {
        public override void Fill(Tensor whole) => whole.copy_((arange(whole.numel(), dtype: ScalarType.Float32) * 0.37f).sin().reshape(whole.shape));
    }
}
