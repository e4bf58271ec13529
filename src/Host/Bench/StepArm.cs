using System.Diagnostics;
using System.Text.Json;
using Titan.Abstractions;
using Titan.Host.Jobs;
using Titan.Training.Loop;
using Titan.Training.Metrics;
using static TorchSharp.torch;

namespace Titan.Host.Bench;

/// <summary>One arm of <c>titan bench step</c>, run in a process of its own so that its peak memory is its own.</summary>
/// <param name="Seconds">Of every timed step.</param>
/// <param name="Loss">Mean over the tokens; the same in every step, since no optimizer changes the weights.</param>
/// <param name="PeakGiB">Peak resident memory of the process.</param>
/// <param name="DeviceGiB">The GPU's memory that is in use after the last step; null on the CPU.</param>
public sealed record StepArm(IReadOnlyList<double> Seconds, double Loss, double PeakGiB, double? DeviceGiB = null)
{
    private const long Seed = 1;

    /// <summary>Builds the model as a job with these flags would, and runs the steps.</summary>
    public static StepArm Measure(StepModel size, int warmUps, int repetitions, IReadOnlyList<string> job)
    {
        var session = JobSession.Open(job);
        var config = session.Job.Config;
        config = config with { Model = config.Model with { Name = "llama3", Flavor = StepModel.Flavor } };
        using var scope = NewDisposeScope();
        var (device, capability) = TrainingDevice.Choose();
        var (model, _, reports) = ModelBuilder.Build(config, size.Registry(), session.Chosen, new ParallelDimensions(), device, capability);
        ModelBuilder.ThrowIfNothingConverted(reports, session.Chosen);
        model.InitializeWeights(Seed);
        using var random = new Generator(Seed);
        var tokens = randint(0, size.Vocabulary, [size.Batch, size.Length + 1], ScalarType.Int64, generator: random).to(device);
        var step = new TrainingStep(model, config, session.Chosen.Select(c => c.Converter));
        var seconds = new List<double>();
        double loss = 0;
        for (var i = 0; i < warmUps + repetitions; i++)
        {
            var watch = Stopwatch.StartNew();
            loss = step.Run(tokens.narrow(1, 0, size.Length), tokens.narrow(1, 1, size.Length).reshape(-1));
            if (i >= warmUps) seconds.Add(watch.Elapsed.TotalSeconds);
        }

        return new StepArm(seconds, loss, ProcessMemory.Peak().GiB, DeviceMemory.ReaderOf(device)?.Invoke().GiB);
    }

    /// <summary>For the process that asked.</summary>
    public string ToJson() => JsonSerializer.Serialize(this);

    /// <summary>What the process answered.</summary>
    public static StepArm FromJson(string json) => JsonSerializer.Deserialize<StepArm>(json)!;
}
