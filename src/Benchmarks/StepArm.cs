using System.Diagnostics;
using System.Text.Json;
using Titan.Abstractions;
using Titan.Quantization.Linear;
using Titan.Quantization.Measurement;
using Titan.Training.Configuration;
using Titan.Training.Loop;
using Titan.Training.Metrics;
using Titan.Training.Optimization;
using Titan.Models;
using Titan.Training.Models;
using static TorchSharp.torch;

namespace Titan.Benchmarks;

/// <summary>One arm of <c>titan bench step</c>, run in a process of its own so that its peak memory is its own.</summary>
/// <param name="Seconds">Of every timed step.</param>
/// <param name="Loss">Mean over the tokens; the same in every step where no optimizer changes the weights.</param>
/// <param name="PeakGiB">Peak resident memory of the process.</param>
/// <param name="DeviceGiB">The GPU's memory in use after every step, the untimed ones first; null on the CPU.</param>
/// <param name="DevicePeakGiB">The most of the GPU's memory that was seen in use; null on the CPU.</param>
public sealed record StepArm(IReadOnlyList<double> Seconds, double Loss, double PeakGiB, IReadOnlyList<double>? DeviceGiB = null, double? DevicePeakGiB = null)
{
    private const ulong Seed = 1;

    private const double LearningRate = 1e-5;

    /// <summary>Builds the model as the job would, and runs the steps; with the optimizer's between them, outside of the time, if asked for.</summary>
    public static StepArm Measure(StepModel size, int warmUps, int repetitions, MeasuredJob job, TrainingDevice where, bool withOptimizer = false) =>
        Measure(size, warmUps, repetitions, job, where, DeviceMemory.ReaderOf(where.Device), withOptimizer);

    internal static StepArm Measure(StepModel size, int warmUps, int repetitions, MeasuredJob job, TrainingDevice where, Func<DeviceMemory>? deviceMemory, bool withOptimizer = false)
    {
        var config = job.Config with { Model = job.Config.Model with { Name = "llama3", Flavor = StepModel.Flavor } };
        using var scope = NewDisposeScope();
        var (device, capability) = where;
        var (model, _, conversions) = ModelBuilder.Build(config, size.Registry(), job.Converters, new ParallelDimensions(), device, capability);
        ModelBuilder.ThrowIfNothingConverted([.. conversions.Select(c => c.Report)], job.Converters);
        Draw(model, capability);
        using var random = new SeededNumbers(Seed, device);
        var tokens = random.Below(size.Vocabulary, size.Batch, size.Length + 1);
        var step = new TrainingStep(model, config, conversions);
        var optimizer = withOptimizer ? Optimizer(model, config) : null;
        double Run() => step.Run(tokens.narrow(1, 0, size.Length), tokens.narrow(1, 1, size.Length).reshape(-1));
        // Between the steps, by itself: what it finds on its way, casts of the next step need not look for.
        void Optimize()
        {
            if (optimizer is null) return;
            optimizer.Step(LearningRate);
            foreach (var conversion in conversions) conversion.AfterOptimizerStep();
            if (device.type == TorchSharp.DeviceType.CUDA) TorchSharp.torch.cuda.synchronize(device);
        }

        using var memory = deviceMemory is null ? null : new DeviceMemoryWatch(() => deviceMemory().GiB);
        double loss = 0;
        for (var i = 0; i < warmUps; i++)
        {
            loss = Run();
            memory?.Mark();
            Optimize();
        }

        // What is timed is not looked at meanwhile.
        memory?.Pause();
        var seconds = new List<double>();
        for (var i = 0; i < repetitions; i++)
        {
            var watch = Stopwatch.StartNew();
            loss = Run();
            seconds.Add(watch.Elapsed.TotalSeconds);
            memory?.Mark();
            Optimize();
        }

        return new StepArm(seconds, loss, ProcessMemory.Peak().GiB, memory?.Marks, memory?.Highest);
    }

    private static FusedAdam Optimizer(LanguageModel model, JobConfig config) => new(
        ModelParameters.Of(model).Select(p => (p.Fqn, p.Parameter)), config.Optimizer.Beta1, config.Optimizer.Beta2, config.Optimizer.Eps, config.Optimizer.WeightDecay, decoupled: true)
    {
        WantedAmaxes = KnownAmaxes.WantedIn(model),
    };

    /// <summary>
    /// Weights as a run has them; on a GPU normal numbers that are drawn there, the same in every arm, since drawing two billion on the CPU takes longer than all steps.
    /// </summary>
    private static void Draw(LanguageModel model, DeviceCapability capability)
    {
        if (!capability.IsCuda)
        {
            model.InitializeWeights((long)Seed);
            return;
        }

        using var none = no_grad();
        using var scope = NewDisposeScope();
        manual_seed((long)Seed);
        foreach (var (_, parameter, _, _) in ModelParameters.Of(model))
        {
            if (parameter.dim() == 1) parameter.fill_(1);
            else parameter.normal_(0, 0.02);
        }
    }

    /// <summary>For the process that asked.</summary>
    public string ToJson() => JsonSerializer.Serialize(this);

    /// <summary>What the process answered.</summary>
    public static StepArm FromJson(string json) => JsonSerializer.Deserialize<StepArm>(json)!;
}
