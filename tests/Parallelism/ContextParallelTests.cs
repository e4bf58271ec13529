using System.Globalization;
using System.Text.RegularExpressions;
using Titan.Abstractions;
using Titan.Models;
using Titan.Models.Llama3;
using Titan.Plugins.ContextParallel;
using Titan.Plugins.Parallelism;
using Titan.Quantization.Conversion;
using Titan.Training.Configuration;
using Titan.Training.Loop;
using Titan.Training.Models;
using Titan.Training.Parallel;
using static TorchSharp.torch;

namespace Titan.Parallelism.Tests;

/// <summary>The trainer with ranks that share the sequences of a Llama 3: losses, norms and validation are those of one rank.</summary>
public sealed class ContextParallelTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("context-parallel").FullName;

    private static (List<double> Losses, List<double> Printed)? oneRank;

    private (List<double> Losses, List<double> Printed) OneRank => oneRank ??= Train(Job(), TrainingRanks.Single, []);

    public void Dispose() => Directory.Delete(folder, true);

    [Theory]
    [InlineData(1, 1, 2, 1, RotateMethod.Allgather)]
    [InlineData(1, 1, 2, 1, RotateMethod.Alltoall)]
    [InlineData(1, 1, 4, 1, RotateMethod.Alltoall)]
    [InlineData(1, 2, 2, 1, RotateMethod.Allgather)]
    [InlineData(2, 1, 2, 1, RotateMethod.Alltoall)]
    [InlineData(1, 1, 2, 2, RotateMethod.Allgather)]
    [InlineData(1, 1, 2, 2, RotateMethod.Alltoall)]
    public void Ranks_that_share_sequences_train_as_one_rank_does(int replicate, int shard, int context, int tensor, RotateMethod method)
    {
        foreach (var rank in Over(new ParallelDimensions(replicate, shard, context, tensor), method, Job)) Equal(OneRank, rank, 1e-5);
    }

    /// <summary>Summed over the ranks, each parameter's gradient is that of whole sequences; queries and keys with norms of their own, windows and biases are among them.</summary>
    [Theory]
    [InlineData(RotateMethod.Allgather)]
    [InlineData(RotateMethod.Alltoall)]
    public void Gradients_of_all_parameters_are_those_of_whole_sequences(RotateMethod method)
    {
        using var scope = NewDisposeScope();
        var expected = Gradients(null, method);
        foreach (var rank in ThreadRanks.Run(new ParallelDimensions(ContextParallel: 2), mesh => Gradients(mesh, method)))
        {
            Assert.Equal(expected.Keys, rank.Keys);
            foreach (var (fqn, gradient) in expected)
            {
                var largest = gradient.abs().max().item<float>();
                Assert.True(largest > 0, fqn);
                var difference = (gradient - rank[fqn]).abs().max().item<float>();
                Assert.True(difference <= 5e-5 * largest, $"{fqn}: {difference} of {largest}");
            }
        }
    }

    [Theory]
    [InlineData("full", false)]
    [InlineData("none", true)]
    public void Blocks_that_are_computed_again_and_fused_kernels_change_nothing(string checkpointing, bool fused)
    {
        JobConfig Other() => Job() with { ActivationCheckpoint = new ActivationCheckpointSection { Mode = checkpointing }, Compile = new CompileSection { Enable = fused } };
        foreach (var rank in Over(new ParallelDimensions(ContextParallel: 2), RotateMethod.Alltoall, Other)) Equal(OneRank, rank, 1e-5);
    }

    [Theory]
    [InlineData(RotateMethod.Allgather)]
    [InlineData(RotateMethod.Alltoall)]
    public void In_bf16_the_losses_stay_near_one_ranks(RotateMethod method)
    {
        JobConfig Narrow()
        {
            var job = Job();
            return job with { Training = job.Training with { MixedPrecisionParam = "bfloat16" } };
        }

        var expected = Train(Narrow(), TrainingRanks.Single, []);
        foreach (var rank in Over(new ParallelDimensions(ContextParallel: 2), method, Narrow)) Equal(expected, rank, 2e-3, printed: 0.02);
    }

    /// <summary>A rank scales its own part of the activations, as every rank does that reads other data: the bound is that between data-parallel ranks and one rank.</summary>
    [Theory]
    [InlineData("tensorwise")]
    [InlineData("rowwise")]
    [InlineData("mxfp8_cublas")]
    public void Float8_recipes_stay_as_near_to_one_rank_as_on_data_parallel_ranks(string recipe)
    {
        var expected = Train(Job(), TrainingRanks.Single, [], recipe);
        foreach (var rank in Over(new ParallelDimensions(ContextParallel: 2), RotateMethod.Allgather, Job, recipe)) Equal(expected, rank, 2e-3, printed: 0.02);
    }

    private static void Equal((List<double> Losses, List<double> Printed) expected, (List<double> Losses, List<double> Printed) actual, double bound, double printed = 0)
    {
        foreach (var (one, other) in expected.Losses.Zip(actual.Losses)) Assert.Equal(one, other, bound * Math.Abs(one));
        // Printed with four and five decimals.
        foreach (var (one, other) in expected.Printed.Zip(actual.Printed)) Assert.Equal(one, other, 1.1e-4 + printed * one);
    }

    private (List<double> Losses, List<double> Printed)[] Over(ParallelDimensions sizes, RotateMethod method, Func<JobConfig> job, string? recipe = null) => ThreadRanks.Run(sizes, mesh =>
    {
        var config = job();
        config = config with { Training = config.Training with { LocalBatchSize = 4 / sizes.Batch }, Validation = config.Validation with { LocalBatchSize = 4 / sizes.Batch } };
        return Train(config, new TrainingRanks(mesh, mesh.Group(MeshAxis.DataParallelReplicate, MeshAxis.DataParallelShard, MeshAxis.ContextParallel, MeshAxis.TensorParallel)),
        [
            new(MeshAxis.TensorParallel, "test", new TensorParallel(), new TensorParallelOptions()),
            new(MeshAxis.ContextParallel, "test", new ContextParallel(), new ContextParallelOptions { ContextParallelRotateMethod = method }),
            new(MeshAxis.DataParallelShard, "test", new FullyShardedDataParallel(), new ShardedDataParallelOptions()),
            new(MeshAxis.DataParallelReplicate, "test", new ReplicatedDataParallel(), new NoOptions()),
        ], recipe);
    });

    private JobConfig Job() => new()
    {
        Job = new JobSection { DumpFolder = Path.Combine(folder, Path.GetRandomFileName()) },
        Model = new ModelSection { Name = "llama3", Flavor = "tiny" },
        // Two micro-batches a step.
        Training = new TrainingSection { SeqLen = 32, LocalBatchSize = 4, GlobalBatchSize = 8, Steps = 4, MixedPrecisionParam = "float32", MaxNorm = 0.5 },
        LrScheduler = new LrSchedulerSection { WarmupSteps = 1 },
        Debug = new DebugSection { Seed = 1 },
        Metrics = new MetricsSection { LogFreq = 1 },
        Validation = new ValidationSection { Enable = true, LocalBatchSize = 4, SeqLen = 16, Steps = 3, Freq = 2 },
    };

    /// <summary>The loss of each step, and its norm and validation loss as they are printed.</summary>
    private static (List<double> Losses, List<double> Printed) Train(JobConfig job, TrainingRanks ranks, IReadOnlyList<JobParallelism> parallelisms, string? recipe = null)
    {
        var args = new Llama3Args(64, 2, 4, 2, 2048, MultipleOf: 64);
        var models = new ModelRegistry();
        models.Register("llama3", new Dictionary<string, ModelFlavor> { ["tiny"] = new(args.Counts, context => new Decoder("Llama3Model", args.Decoder with { Initialization = fqn => new Waves(fqn) }, context)) });
        var values = new List<double>();
        void Log(string line)
        {
            if (Regex.Match(line, @"^validate step: +\d+ +loss: +([\d.]+)") is { Success: true } validated) values.Add(double.Parse(validated.Groups[1].Value, CultureInfo.InvariantCulture));
            else if (Regex.Match(line, @"grad_norm: +([\d.]+)") is { Success: true } norm) values.Add(double.Parse(norm.Groups[1].Value, CultureInfo.InvariantCulture));
        }

        using var trainer = new Trainer(new TrainerDependencies(job, models, Converters(recipe), new Dictionary<string, string>(), Log, _ => { }, false) { Ranks = ranks, Parallelisms = parallelisms });
        var losses = new List<double>();
        trainer.Stepped += (_, loss) => losses.Add(loss);
        trainer.Run(CancellationToken.None);
        Assert.Equal((4, 4 + 3), (losses.Count, values.Count));
        return (losses, values);
    }

    private static SortedDictionary<string, Tensor> Gradients(DeviceMesh? mesh, RotateMethod method)
    {
        using var scope = NewDisposeScope();
        var plain = new Llama3Args(64, 2, 4, 2, 160, MultipleOf: 64).Decoder;
        var block = plain.Block(0);
        var attention = new AttentionArgs(4, 2, 16) { Bias = true, QueryKeyNorm = new NormArgs.Rms(1e-5), Window = 11 };
        var args = plain with { Block = i => i == 0 ? block : block with { Attention = attention }, Initialization = fqn => new Waves(fqn) };
        var model = new Decoder("Llama3Model", args, new ModelContext(32, META, ScalarType.Float32));
        model.SetComputeType(ScalarType.Float32);
        var applied = mesh is null ? null : new ContextParallel().Apply(
            new ParallelizationContext(model, model.Blocks, mesh, MeshAxis.ContextParallel, new ContextParallelOptions { ContextParallelRotateMethod = method }) { ParamType = ScalarType.Float32 });
        ModelParameters.Materialize(model, CPU);
        model.InitializeWeights(1);
        var ids = (arange(2 * 32, dtype: ScalarType.Int64) * 37 % 160).reshape(2, 32);
        var whole = new ModelBatch(ids, (ids * 5 + 3) % 160);
        var own = applied?.ShareOf(whole) ?? whole;
        var logits = model.call(new ModelInput(own.Tokens, own.Positions));
        nn.functional.cross_entropy(logits.reshape(-1, 160), own.Labels.reshape(-1), reduction: nn.Reduction.Sum).backward();
        BackwardFailure.ThrowIfAny();
        var gradients = new SortedDictionary<string, Tensor>(StringComparer.Ordinal);
        foreach (var parameter in ModelParameters.Of(model))
        {
            var sum = parameter.Parameter.grad!.clone();
            mesh?.Group(MeshAxis.ContextParallel).AllReduce(sum, ReduceOperation.Sum);
            gradients[parameter.Fqn] = sum.DetachFromDisposeScope();
        }

        return gradients;
    }

    private static IReadOnlyList<(string Name, IModelConverter Converter, object Options)> Converters(string? name)
    {
        if (name is null) return [];
        var recipe = TinyJob.Recipes[name];
        var options = new QuantizeOptions(new QuantizeLinearOptions { FilterFqns = ["output"] }, new Dictionary<string, object> { [name] = Activator.CreateInstance(recipe.OptionsType)! });
        return [("test", new QuantizeLinearConverter("test", [(new RecipeMetadata { Family = "test", Name = name, IsDefault = true }, recipe)]), options)];
    }

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
