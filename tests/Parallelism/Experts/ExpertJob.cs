using System.Globalization;
using System.Text.RegularExpressions;
using Titan.Abstractions;
using Titan.Models;
using Titan.Models.Llama3;
using Titan.Plugins.ContextParallel;
using Titan.Plugins.ExpertParallel;
using Titan.Plugins.Float8Rowwise;
using Titan.Plugins.MXFP8;
using Titan.Plugins.Parallelism;
using Titan.Quantization.Conversion;
using Titan.Training.Configuration;
using Titan.Training.Loop;
using Titan.Training.Losses;
using Titan.Training.Models;
using Titan.Training.Parallel;
using static TorchSharp.torch;

namespace Titan.Parallelism.Tests.Experts;

/// <summary>A small decoder with a mixture of experts in each block, in the trainer, on one rank or on ranks that are threads.</summary>
internal sealed record ExpertJob
{
    private const int Batch = 8;

    public int Steps { get; init; } = 4;

    /// <summary>Micro-batches of a step on each rank.</summary>
    public int MicroBatches { get; init; } = 2;

    public int Experts { get; init; } = 8;

    public int TopK { get; init; } = 2;

    public RouterScore Score { get; init; } = RouterScore.Softmax;

    public bool ScoreBefore { get; init; }

    public bool Shared { get; init; } = true;

    public string Checkpointing { get; init; } = "none";

    public bool Fused { get; init; }

    public string Type { get; init; } = "float32";

    /// <summary>What the biases of experts are at the start, which decides who is chosen; null for what they are.</summary>
    public float[]? Bias { get; init; }

    /// <summary>The recipe of the experts; null for none.</summary>
    public string? Recipe { get; init; }

    /// <summary>Whether rows and gradients travel in float8.</summary>
    public bool Float8Dispatch { get; init; }

    /// <summary>What a rank has in the end.</summary>
    /// <param name="Losses">Of each step.</param>
    /// <param name="Norms">Of the gradients, as they are printed.</param>
    /// <param name="Biases">Of the experts, all mixtures.</param>
    /// <param name="Parameters">This rank's parts.</param>
    /// <param name="Log">What was logged.</param>
    public sealed record Result(IReadOnlyList<double> Losses, IReadOnlyList<double> Norms, float[] Biases, IReadOnlyDictionary<string, (ShardLayout Layout, Tensor Value)> Parameters, IReadOnlyList<string> Log);

    public Result Alone() => Train(TrainingRanks.Single, Batch / MicroBatches);

    public Result[] Over(ParallelDimensions sizes) => ThreadRanks.Run(sizes, mesh => Train(
        new TrainingRanks(mesh, mesh.Group(MeshAxis.DataParallelReplicate, MeshAxis.DataParallelShard, MeshAxis.ContextParallel, MeshAxis.TensorParallel)), Batch / MicroBatches / sizes.Batch));

    /// <summary>The plugins' parallelisms, for every axis.</summary>
    public IReadOnlyList<JobParallelism> Parallelisms =>
    [
        new(MeshAxis.TensorParallel, "test", new TensorParallel(), new TensorParallelOptions()),
        new(MeshAxis.ExpertParallel, "test", new ExpertParallel(), new ExpertParallelOptions()),
        new(MeshAxis.ContextParallel, "test", new ContextParallel(), new ContextParallelOptions()),
        new(MeshAxis.DataParallelShard, "test", new FullyShardedDataParallel(), new ShardedDataParallelOptions()),
        new(MeshAxis.DataParallelReplicate, "test", new ReplicatedDataParallel(), new NoOptions()),
    ];

    /// <summary>The experts' recipes by name.</summary>
    public static IReadOnlyDictionary<string, IQuantizationRecipe> Recipes { get; } = new Dictionary<string, IQuantizationRecipe>
    {
        ["float8"] = new GroupedRowwiseRecipe(), ["mx"] = new GroupedRceilRecipe(), ["mx_gw_hp"] = new GroupedRceilWithGradWeightHighPrecisionRecipe(),
    };

    /// <summary>What converts the experts.</summary>
    public IReadOnlyList<(string Name, IModelConverter Converter, object Options)> Converters => Recipe is null
        ? []
        : [("test", new QuantizeGroupedConverter("test", [(new RecipeMetadata { Family = "test", Name = Recipe, IsDefault = true, Status = ExportStatus.Alpha }, Recipes[Recipe], new NoOptions())]), new QuantizeGroupedOptions { Fqns = ["experts"], EnableFloat8Dispatch = Float8Dispatch })];

    /// <summary>The whole parameter from the parts of all ranks.</summary>
    public static Tensor Whole(IEnumerable<IReadOnlyDictionary<string, (ShardLayout Layout, Tensor Value)>> ranks, string fqn)
    {
        Tensor? whole = null;
        foreach (var rank in ranks)
        {
            var (layout, value) = rank[fqn];
            whole ??= full([.. layout.GlobalShape], double.NaN, dtype: value.dtype);
            if (value.numel() > 0) layout.Of(whole).copy_(value);
        }

        return whole!;
    }

    /// <summary>Builds the model.</summary>
    public Decoder Build(ModelContext context)
    {
        var plain = new Llama3Args(64, 2, 4, 4, 2048, MultipleOf: 64).Decoder;
        var block = plain.Block(0);
        var mixture = new MoeArgs(new RouterArgs(Experts, TopK) { Score = Score }, new SwiGluExpertArgs(32)) { Shared = Shared ? new SwiGluArgs(64) : null, ScoreBeforeExperts = ScoreBefore };
        return new Decoder("Mixtures", plain with { Block = _ => block with { FeedForward = mixture }, Initialization = fqn => new Waves(fqn) }, context);
    }

    /// <summary>The model alone, converted, its experts shared over the ranks of <c>ep</c>, and the group that counts what they exchange.</summary>
    public static (Decoder Model, CountingGroup Group) Model(ExpertJob job, DeviceMesh mesh)
    {
        var model = job.Build(new ModelContext(32, META, ScalarType.Float32));
        foreach (var (_, converter, options) in job.Converters)
            converter.Convert(new ModelSlots(model), options, new ConversionContext(DeviceCapability.Cpu, true, mesh.Sizes) { ComputeType = ModelBuilder.TypeOf(job.Type) });
        model.SetComputeType(ModelBuilder.TypeOf(job.Type));
        var counting = new DeviceMesh(mesh.Sizes, mesh.Rank, (_, _) => new CountingGroup(mesh.Expert));
        new ExpertParallel().Apply(new ParallelizationContext(model, model.Blocks, counting, MeshAxis.ExpertParallel, new ExpertParallelOptions()) { ParamType = ModelBuilder.TypeOf(job.Type) });
        ModelParameters.Materialize(model, CPU);
        model.InitializeWeights(1);
        return (model, (CountingGroup)counting.Expert);
    }

    /// <summary>The gradients of one forward and backward over four sequences: this rank's parts.</summary>
    /// <param name="mesh">The ranks; null for one.</param>
    public IReadOnlyDictionary<string, (ShardLayout Layout, Tensor Value)> Gradients(DeviceMesh? mesh)
    {
        using var scope = NewDisposeScope();
        var model = Build(new ModelContext(32, META, ScalarType.Float32));
        model.SetComputeType(ScalarType.Float32);
        var sizes = mesh?.Sizes ?? new ParallelDimensions();
        var applied = mesh is null ? [] : Parallelisms.Where(p => sizes.Over(p.Axis) > 1)
            .Select(p => p.Parallelism.Apply(new ParallelizationContext(model, model.Blocks, mesh, p.Axis, p.Options) { ParamType = ScalarType.Float32 })).ToList();
        ModelParameters.Materialize(model, CPU);
        model.InitializeWeights(1);
        foreach (var parallelism in applied) parallelism.AfterOptimizerStep();
        var ids = (arange(4 * 32, dtype: ScalarType.Int64) * 37 % 2048).reshape(4, 32);
        var (own, at) = (4 / sizes.Batch, mesh?.Coordinate(MeshAxis.DataParallelReplicate, MeshAxis.DataParallelShard) ?? 0);
        var share = new ModelBatch(ids.narrow(0, at * own, own), (ids * 5 + 3).remainder(2048).narrow(0, at * own, own));
        foreach (var parallelism in applied) share = parallelism.ShareOf(share);
        var logits = model.call(new ModelInput(share.Tokens, share.Positions));
        CrossEntropy.For(new CompileSection(), applied.Select(p => p.VocabularyGroup).FirstOrDefault(g => g is not null))(logits, share.Labels.reshape(-1), 4 * 32).backward();
        BackwardFailure.ThrowIfAny();
        foreach (var parallelism in applied) parallelism.AfterBackward();
        return ModelParameters.Of(model).ToDictionary(p => p.Fqn, p => (p.Layout, p.Parameter.grad!.clone().DetachFromDisposeScope()));
    }

    public JobConfig Config(string folder, int localBatch) => new()
    {
        Job = new JobSection { DumpFolder = folder },
        Model = new ModelSection { Name = "mixtures", Flavor = "tiny" },
        Training = new TrainingSection { SeqLen = 32, LocalBatchSize = localBatch, GlobalBatchSize = Batch, Steps = Steps, MixedPrecisionParam = Type, MaxNorm = 0.5 },
        LrScheduler = new LrSchedulerSection { WarmupSteps = 1 },
        Debug = new DebugSection { Seed = 1 },
        Metrics = new MetricsSection { LogFreq = 1 },
        ActivationCheckpoint = new ActivationCheckpointSection { Mode = Checkpointing },
        Compile = new CompileSection { Enable = Fused },
    };

    private Result Train(TrainingRanks ranks, int localBatch)
    {
        using var scope = NewDisposeScope();
        var folder = Directory.CreateTempSubdirectory("experts");
        try
        {
            Decoder? model = null;
            var models = new ModelRegistry();
            models.Register("mixtures", new Dictionary<string, ModelFlavor>
            {
                ["tiny"] = new(Build(new ModelContext(32, META, ScalarType.Float32)).Counts, context =>
                {
                    model = Build(context);
                    return model;
                }),
            });
            var log = new List<string>();
            using var trainer = new Trainer(new TrainerDependencies(Config(folder.FullName, localBatch), models, Converters, new Dictionary<string, string>(), log.Add, _ => { }, false) { Ranks = ranks, Parallelisms = Parallelisms });
            foreach (var bias in Biases(model!)) if (Bias is not null) using (no_grad()) bias.copy_(tensor(Bias));
            var losses = new List<double>();
            trainer.Stepped += (_, loss) => losses.Add(loss);
            trainer.Run(CancellationToken.None);
            Assert.Equal(Steps, losses.Count);
            return new Result(losses, [.. log.Select(l => Regex.Match(l, @"grad_norm: +([\d.]+)")).Where(m => m.Success).Select(m => double.Parse(m.Groups[1].Value, CultureInfo.InvariantCulture))],
                [.. Biases(model!).SelectMany(b => b.data<float>().ToArray())],
                ModelParameters.Of(model!).ToDictionary(p => p.Fqn, p => (p.Layout, p.Parameter.detach().clone().DetachFromDisposeScope())), log);
        }
        finally
        {
            folder.Delete(true);
        }
    }

    private static IEnumerable<Tensor> Biases(Decoder model) => ModelParameters.Buffers(model).Where(b => b.Slot.Name == "expert_bias").Select(b => b.Slot.Tensor);

    /// <summary>Not drawn: ranks are threads, which share the generator.</summary>
    private sealed record Waves(string Fqn) : Initializer
    {
        public override void Fill(Tensor whole)
        {
            if (Fqn.EndsWith("norm.weight", StringComparison.Ordinal)) whole.fill_(1);
            else whole.copy_((arange(whole.numel(), dtype: ScalarType.Float32) * 0.7391f + Fqn.Length).sin().mul_(Fqn.StartsWith("tok", StringComparison.Ordinal) ? 1 : 0.08).reshape(whole.shape));
        }
    }
}
