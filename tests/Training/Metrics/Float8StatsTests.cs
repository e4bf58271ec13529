using System.Text.Json;
using TorchSharp;
using Titan.Abstractions;
using Titan.Training.Configuration;
using Titan.Training.Loop;
using Titan.Training.Models;

namespace Titan.Training.Tests.Metrics;

public sealed class Float8StatsTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("titan-stats").FullName;
    private readonly List<string> log = [];

    public void Dispose() => Directory.Delete(folder, true);

    [Theory]
    [InlineData("none"), InlineData("full")]
    public void Every_due_step_writes_the_numbers_of_each_layer_and_operand_once(string checkpointing)
    {
        // Four micro-batches to a step, of which the first is measured.
        Train(3, 2, checkpointing, globalBatchSize: 4);
        var rows = File.ReadLines(Path.Combine(folder, "metrics.jsonl")).Select(l => JsonDocument.Parse(l).RootElement).ToList();
        var measured = rows.Where(r => r.EnumerateObject().Any(p => p.Name.StartsWith("float8/", StringComparison.Ordinal))).ToList();
        Assert.Equal([1, 2], measured.Select(r => r.GetProperty("step").GetInt32()));
        // 4 blocks of 7 linears and the head; 3 operands with 5 numbers each.
        Assert.All(measured, r => Assert.Equal(29 * 3 * 5 + 1, r.EnumerateObject().Count()));
        Assert.InRange(measured[1].GetProperty("float8/layers.0.attention.wq/input/sqnr").GetDouble(), 20, 45);
        Assert.Equal(
            measured[1].GetProperty("float8/layers.3.attention.wq/input/amax").GetDouble(), measured[1].GetProperty("float8/layers.3.attention.wv/input/amax").GetDouble());
        Assert.Equal(448 / measured[1].GetProperty("float8/output/weight/amax").GetDouble(), measured[1].GetProperty("float8/output/weight/scale").GetDouble(), 1e-4);
        var lines = log.Where(l => l.StartsWith("float8 stats", StringComparison.Ordinal)).ToList();
        Assert.Equal(2, lines.Count);
        Assert.All(lines, l => Assert.Matches("^float8 stats step:  \\d  87 casts of 29 layers  worst sqnr: .+/.+ \\d+\\.\\d dB, .*  most underflowed: .*  most saturated: none  took \\d+ ms$", l));
    }

    [Fact]
    public void Measuring_changes_no_loss_and_without_it_nothing_is_written()
    {
        var without = Train(2, 0);
        Assert.DoesNotContain("float8/", File.ReadAllText(Path.Combine(folder, "metrics.jsonl")), StringComparison.Ordinal);
        Assert.Equal(without, Train(2, 1));
    }

    [Fact]
    public void Tensors_do_not_grow_over_steps_that_are_all_measured()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        var tensors = new List<long>();
        Train(20, 1, stepped: () => tensors.Add(torch.Tensor.TotalCount));
        Assert.True(tensors[3..].Max() == tensors[3], $"tensors alive after each step: {string.Join(", ", tensors)}");
    }

    private List<double> Train(int steps, int freq, string checkpointing = "none", int globalBatchSize = -1, Action? stepped = null)
    {
        var job = new JobConfig
        {
            Job = new JobSection { DumpFolder = folder },
            Model = new ModelSection { Flavor = "cpu_small" },
            Training = new TrainingSection { SeqLen = 16, LocalBatchSize = 1, GlobalBatchSize = globalBatchSize, Steps = steps },
            Metrics = new MetricsSection { Float8StatsFreq = freq },
            LrScheduler = new LrSchedulerSection { WarmupSteps = 2 },
            ActivationCheckpoint = new ActivationCheckpointSection { Mode = checkpointing },
            Debug = new DebugSection { Seed = 1 },
        };
        using var trainer = new Trainer(new TrainerDependencies(
            job, ModelRegistry.CreateDefault(), [TensorwiseConverter.Create()], new Dictionary<string, string>(), log.Add, _ => { }, false));
        var losses = new List<double>();
        trainer.Stepped += (_, loss) =>
        {
            losses.Add(loss);
            stepped?.Invoke();
        };
        trainer.Run(CancellationToken.None);
        return losses;
    }
}
