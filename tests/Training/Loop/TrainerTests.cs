using System.Diagnostics;
using Titan.Models;
using TorchSharp;
using Titan.Abstractions;
using Titan.Training.Configuration;
using Titan.Training.Loop;
using Titan.Training.Models;
using Titan.Models.Llama3;

namespace Titan.Training.Tests.Loop;

public sealed class TrainerTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("titan-trainer").FullName;

    public void Dispose() => Directory.Delete(folder, true);

    [Theory]
    [InlineData(false, false), InlineData(true, false), InlineData(true, true)]
    public void Neither_tensors_nor_memory_grow_over_200_steps(bool float8, bool compile)
    {
        // What earlier tests left to the finaliser would go in the middle of the count.
        GC.Collect();
        GC.WaitForPendingFinalizers();
        var job = Job(200) with { Model = new ModelSection { Flavor = "cpu_small" }, Compile = new CompileSection { Enable = compile } };
        using var trainer = float8 ? WithFloat8(job) : Create(job);
        var tensors = new List<long>();
        var memory = new List<long>();
        trainer.Stepped += (_, _) =>
        {
            tensors.Add(torch.Tensor.TotalCount);
            using var process = Process.GetCurrentProcess();
            memory.Add(process.WorkingSet64);
        };
        trainer.Run(CancellationToken.None);
        Assert.Equal(200, tensors.Count);
        Assert.True(tensors[3..].Max() == tensors[3], $"tensors alive after each step: {string.Join(", ", tensors)}");
        // The last quarter against the first: growth of one small tensor per step would show, the allocator's own coming and going does not.
        Assert.True(memory[150..].Average() - memory[10..60].Average() < 40e6, $"resident memory: {memory[3] / 1e6:F0}, {memory[60] / 1e6:F0}, {memory[199] / 1e6:F0} MB");
    }

    [Fact]
    public void Accumulated_micro_batches_equal_one_large_batch()
    {
        var one = Losses(Job(3) with { Training = Training(3) with { LocalBatchSize = 4 } });
        var four = Losses(Job(3) with { Training = Training(3) with { LocalBatchSize = 1, GlobalBatchSize = 4 } });
        for (var i = 0; i < one.Count; i++) Assert.Equal(one[i], four[i], 4);
    }

    [Theory]
    [InlineData("full", "2", false), InlineData("full", "2", true)]
    [InlineData("selective", "2", false), InlineData("selective", "2", true)]
    [InlineData("selective", "op", false), InlineData("selective", "op", true)]
    public void Activation_checkpointing_does_not_change_a_bit(string mode, string option, bool float8)
    {
        var plain = Losses(Job(4), float8);
        Assert.Equal(plain, Losses(Job(4) with { ActivationCheckpoint = new ActivationCheckpointSection { Mode = mode, SelectiveAcOption = option } }, float8));
    }

    [Fact]
    public void Fused_kernels_change_the_loss_by_rounding_only()
    {
        var plain = Losses(Job(4));
        var fused = Losses(Job(4) with { Compile = new CompileSection { Enable = true } });
        for (var i = 0; i < plain.Count; i++) Assert.Equal(plain[i], fused[i], 4);
    }

    [Fact]
    public void A_non_finite_loss_stops_the_run_and_names_the_layer()
    {
        var job = Job(30) with { Optimizer = new OptimizerSection { Lr = 1e30 } };
        using var trainer = Create(job);
        var error = Assert.Throws<TitanException>(() => trainer.Run(CancellationToken.None));
        Assert.Equal(ExitCode.RunFailed, error.Code);
        Assert.Matches("step \\d+: .*not finite; .*(tok_embeddings|layers|norm|output|backward)", error.Message);
    }

    [Fact]
    public void A_batch_that_is_no_multiple_and_a_vocabulary_that_is_too_small_are_refused()
    {
        Assert.Contains("multiple", Assert.Throws<TitanException>(() => Create(Job(1) with { Training = Training(1) with { LocalBatchSize = 3, GlobalBatchSize = 4 } })).Message, StringComparison.Ordinal);
        var registry = new ModelRegistry();
        registry.Register("llama3", new Dictionary<string, ModelFlavor>
        {
            ["small_vocabulary"] = new Llama3Args(32, 1, 2, 2, 100).Flavor,
        });
        var job = Job(1) with { Model = new ModelSection { Flavor = "small_vocabulary" } };
        Assert.Contains("2048 entries", Assert.Throws<TitanException>(() => Create(job, registry)).Message, StringComparison.Ordinal);
    }

    private static TrainingSection Training(int steps) =>
        new() { SeqLen = 32, LocalBatchSize = 2, Steps = steps, MixedPrecisionParam = "float32" };

    private JobConfig Job(int steps) => new()
    {
        Job = new JobSection { DumpFolder = folder },
        Model = new ModelSection { Flavor = "debugmodel" },
        Training = Training(steps),
        LrScheduler = new LrSchedulerSection { WarmupSteps = 2 },
        ActivationCheckpoint = new ActivationCheckpointSection { Mode = "none" },
        Debug = new DebugSection { Seed = 1 },
    };

    private static Trainer Create(JobConfig job, ModelRegistry? models = null) =>
        new(new TrainerDependencies(job, models ?? ModelRegistry.CreateDefault(), [], new Dictionary<string, string>(), _ => { }, _ => { }, false));

    private static Trainer WithFloat8(JobConfig job)
    {
        job = job with { Training = job.Training with { MixedPrecisionParam = "bfloat16" } };
        return new Trainer(new TrainerDependencies(job, ModelRegistry.CreateDefault(), [TensorwiseConverter.Create()], new Dictionary<string, string>(), _ => { }, _ => { }, false));
    }

    private static List<double> Losses(JobConfig job, bool float8 = false)
    {
        using var trainer = float8 ? WithFloat8(job) : Create(job);
        var losses = new List<double>();
        trainer.Stepped += (_, loss) => losses.Add(loss);
        trainer.Run(CancellationToken.None);
        return losses;
    }
}
