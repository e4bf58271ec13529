using Titan.Abstractions;
using Titan.Models;
using Titan.Parallelism.Tests;
using Titan.Plugins.ContextParallel;
using Titan.Plugins.ExpertParallel;
using Titan.Plugins.Parallelism;
using Titan.Training.Configuration;
using Titan.Training.Loop;
using Titan.Training.Models;
using Titan.Training.Parallel;
using static TorchSharp.torch;

namespace Titan.Families.Tests;

/// <summary>A tiny model of a family in the trainer, on one rank or on ranks that are threads; always the same micro-batches.</summary>
/// <param name="Name">One of <see cref="GoldenModels"/>, for text.</param>
internal sealed record FamilyJob(string Name)
{
    public JobConfig Config { get; init; } = new()
    {
        Training = new TrainingSection { SeqLen = 32, LocalBatchSize = 2, GlobalBatchSize = 4, Steps = 3, MixedPrecisionParam = "bfloat16" },
        LrScheduler = new LrSchedulerSection { WarmupSteps = 1 },
        Debug = new DebugSection { Seed = 1 },
        Metrics = new MetricsSection { LogFreq = 1 },
        ActivationCheckpoint = new ActivationCheckpointSection { Mode = "none" },
    };

    /// <summary>Where the run is kept; null for a folder that goes with it.</summary>
    public string? Folder { get; init; }

    /// <summary>Stops after this step; null for the last.</summary>
    public int? Stop { get; init; }

    /// <summary>What a rank has in the end.</summary>
    /// <param name="Losses">Of each step.</param>
    /// <param name="Values">This rank's parts of parameters, and the buffers that persist.</param>
    /// <param name="Log">What was logged.</param>
    public sealed record Result(IReadOnlyList<double> Losses, IReadOnlyDictionary<string, (ShardLayout Layout, Tensor Value)> Values, IReadOnlyList<string> Log);

    public Result Alone() => Train(TrainingRanks.Single);

    public Result[] Over(ParallelDimensions sizes) => ThreadRanks.Run(sizes, mesh =>
        Train(new TrainingRanks(mesh, mesh.Group(MeshAxis.DataParallelReplicate, MeshAxis.DataParallelShard, MeshAxis.ContextParallel, MeshAxis.TensorParallel))));

    private static IReadOnlyList<JobParallelism> Parallelisms =>
    [
        new(MeshAxis.TensorParallel, "test", new TensorParallel(), new TensorParallelOptions()),
        new(MeshAxis.ExpertParallel, "test", new ExpertParallel(), new ExpertParallelOptions()),
        new(MeshAxis.ContextParallel, "test", new ContextParallel(), new ContextParallelOptions()),
        new(MeshAxis.DataParallelShard, "test", new FullyShardedDataParallel(), new ShardedDataParallelOptions()),
        new(MeshAxis.DataParallelReplicate, "test", new ReplicatedDataParallel(), new NoOptions()),
    ];

    /// <summary>The whole tensor from the parts of all ranks.</summary>
    public static Tensor Whole(IEnumerable<Result> ranks, string fqn)
    {
        Tensor? whole = null;
        foreach (var rank in ranks)
        {
            var (layout, value) = rank.Values[fqn];
            whole ??= full([.. layout.GlobalShape], double.NaN, dtype: value.dtype);
            if (value.numel() > 0) layout.Of(whole).copy_(value);
        }

        return whole!;
    }

    private Result Train(TrainingRanks ranks)
    {
        using var scope = NewDisposeScope();
        using var folder = new TestFolder();
        LanguageModel? model = null;
        var flavor = GoldenModels.Readers[Name];
        var models = new ModelRegistry();
        models.Register("tiny", new Dictionary<string, ModelFlavor> { ["tiny"] = flavor with { Build = context => model = flavor.Build(context) } });
        var log = new List<string>();
        var config = Config with { Job = new JobSection { DumpFolder = Folder ?? folder.Path }, Model = new ModelSection { Name = "tiny", Flavor = "tiny" } };
        using var trainer = new Trainer(new TrainerDependencies(config, models, [], new Dictionary<string, string>(), log.Add, _ => { }, false) { Ranks = ranks, Parallelisms = Parallelisms });
        Fill(model!);
        var losses = new List<double>();
        using var source = new CancellationTokenSource();
        trainer.Stepped += (step, loss) =>
        {
            losses.Add(loss);
            if (step == Stop) source.Cancel();
        };
        trainer.Run(source.Token);
        var values = ModelParameters.Of(model!).ToDictionary(p => p.Fqn, p => (p.Layout, p.Parameter.detach().clone().DetachFromDisposeScope()));
        foreach (var buffer in ModelParameters.Buffers(model!).Where(b => b.Slot.IsPersistent)) values[buffer.Fqn] = (ShardLayout.Whole(buffer.Slot.Shape), buffer.Slot.Tensor.clone().DetachFromDisposeScope());
        return new Result(losses, values, log);
    }

    /// <summary>Not drawn: ranks are threads, which share the generator.</summary>
    private static void Fill(LanguageModel model)
    {
        using var none = no_grad();
        using var scope = NewDisposeScope();
        foreach (var (fqn, parameter, layout, _) in ModelParameters.Of(model))
        {
            var waves = (arange(layout.GlobalShape.Aggregate((a, b) => a * b), dtype: ScalarType.Float32) * 0.7391f + fqn.Length).sin() * (fqn.StartsWith("tok", StringComparison.Ordinal) ? 1 : 0.08);
            parameter.copy_(layout.Of((fqn.EndsWith("norm.weight", StringComparison.Ordinal) ? waves + 1 : waves).reshape([.. layout.GlobalShape])));
        }
    }
}
