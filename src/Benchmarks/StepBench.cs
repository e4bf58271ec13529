using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using Titan.Abstractions;
using Titan.Quantization.Measurement;

namespace Titan.Benchmarks;

/// <summary>A training step without optimizer, as several arms. Each arm runs in processes of its own, arm after arm, for several rounds.</summary>
/// <param name="Model">The model.</param>
/// <param name="Arms">Names, and the flags of a job that make them.</param>
/// <param name="Rounds">How often each arm gets a process.</param>
/// <param name="WarmUps">Steps of each process that are not timed.</param>
/// <param name="Repetitions">Steps of each process that are timed.</param>
public sealed record StepBench(StepModel Model, IReadOnlyList<(string Name, IReadOnlyList<string> Job)> Arms, int Rounds, int WarmUps, int Repetitions)
{
    /// <summary>Flags that the arms set; a user who gives one would measure something else than the table says.</summary>
    public static IReadOnlyList<string> Owned { get; } = ["--model.", "--compile.enable", "--compile.no-enable", "--training.seq", "--training.local", "recipe_name", "recipe-name"];

    /// <summary>The arm with plain ATen operations, and the arm with fused kernels, which is always there.</summary>
    public const string Plain = "bf16 plain", Fused = "bf16 fused";

    /// <summary>Memory that grows by less than this after the third step is the allocator's business, not a leak's: a step's gradients are many times as much.</summary>
    private const double FlatGiB = 0.0625;

    private const int Settled = 3, BetweenReadings = 20;

    /// <summary>Whether the optimizer's step comes between the steps, outside of their time.</summary>
    public bool WithOptimizer { get; init; }

    /// <summary>How it measures.</summary>
    public string Description =>
        $"forward, loss and backward of one step, {(WithOptimizer ? "the optimizer's step after each, outside of the time" : "no optimizer")}, bf16 compute, fp32 weights; every arm in a process of its own, arms in turn, {Rounds} rounds, {WarmUps} warm-up and {Repetitions} timed steps in each; " +
        "median and least of all timed steps; peak resident memory of the process, on a GPU also the most of the device's memory that was seen in use (its driver's count, of all processes); weights and tokens from a fixed seed, so the losses may be compared";

    private Process? running;

    /// <summary>Ends the arm that is running: it must not go on computing when nobody waits for it any more.</summary>
    public void Stop() => running?.Kill();

    /// <summary>Runs all arms: their times, and on a GPU what memory was in use from step to step.</summary>
    public IReadOnlyList<BenchmarkTable> Run(BenchProgress progress)
    {
        var results = Arms.Select(_ => new List<StepArm>()).ToList();
        for (var round = 0; round < Rounds; round++)
        {
            for (var i = 0; i < Arms.Count; i++)
            {
                progress.Next($"{Arms[i].Name}, round {round + 1} of {Rounds}");
                results[i].Add(Start(Arms[i].Name, Arms[i].Job));
            }
        }

        return Tables(results);
    }

    /// <summary>The tables of what every process of every arm measured.</summary>
    internal IReadOnlyList<BenchmarkTable> Tables(IReadOnlyList<IReadOnlyList<StepArm>> results)
    {
        var times = results.Select(r => Timing.Of([.. r.SelectMany(a => a.Seconds)])).ToList();
        var onGpu = results[0][0].DevicePeakGiB is not null;
        double tokens = (double)Model.Batch * Model.Length;
        var others = new[] { Plain, Fused }.Select(name => (Name: name, Index: Arms.ToList().FindIndex(a => a.Name == name))).Where(o => o.Index >= 0).ToList();
        string[] deviceMemory = onGpu ? ["device memory, highest, GiB"] : [];
        var steps = new BenchmarkTable("Training step",
            ["arm", "s/step", "s/step, least", "tokens/s", .. others.Select(o => $"vs {o.Name}"), "peak memory, GiB", .. deviceMemory, "loss", "steps"],
            [.. Arms.Select((arm, i) => (IReadOnlyList<string>)
            [
                arm.Name, BenchText.Digits(times[i].Median, 4), BenchText.Digits(times[i].Least, 4), BenchText.Digits(tokens / times[i].Median),
                .. others.Select(o => BenchText.Ratio(times[o.Index].Median / times[i].Median)),
                BenchText.Digits(results[i].Max(r => r.PeakGiB)), .. deviceMemory.Select(_ => BenchText.Digits(results[i].Max(r => r.DevicePeakGiB ?? 0))),
                results[i][^1].Loss.ToString("F5", CultureInfo.InvariantCulture), $"{times[i].Repetitions}",
            ])]);
        return onGpu ? [steps, DeviceMemory([.. results.Select(r => r[^1].DeviceGiB!)])] : [steps];
    }

    /// <summary>After the third step memory must not grow: what is left over from a step would be there again and again.</summary>
    private BenchmarkTable DeviceMemory(IReadOnlyList<IReadOnlyList<double>> readings)
    {
        var count = readings.Min(r => r.Count);
        int[] shown = [.. new[] { 1, Settled }.Concat(Enumerable.Range(1, count / BetweenReadings).Select(i => i * BetweenReadings)).Append(count).Where(s => s <= count).Distinct()];
        return new BenchmarkTable("Device memory in use, GiB", ["arm", .. shown.Select(s => $"step {s}"), "growth after step 3", "verdict"],
        [
            .. Arms.Zip(readings, (arm, r) =>
            {
                double? growth = count > Settled ? r.Skip(Settled).Max() - r[Settled - 1] : null;
                return (IReadOnlyList<string>)[arm.Name, .. shown.Select(s => Gib(r[s - 1])), growth is { } g ? Gib(g) : "", growth is null ? "" : growth < FlatGiB ? "flat" : "grows"];
            }),
        ]);

        static string Gib(double value) => value.ToString("F3", CultureInfo.InvariantCulture);
    }

    private StepArm Start(string name, IReadOnlyList<string> job)
    {
        var program = Environment.ProcessPath!;
        var start = new ProcessStartInfo(program) { RedirectStandardOutput = true, RedirectStandardError = true };
        // Started through dotnet, the program is the first argument.
        if (Path.GetFileNameWithoutExtension(program) == "dotnet") start.ArgumentList.Add(Assembly.GetEntryAssembly()!.Location);
        foreach (var argument in (string[])["bench", "step", "--one-arm", .. Sizes(), "--warm-ups", $"{WarmUps}", "--repetitions", $"{Repetitions}", .. WithOptimizer ? ["--optimizer"] : Array.Empty<string>(), .. job]) start.ArgumentList.Add(argument);
        using var process = Process.Start(start)!;
        running = process;
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        running = null;
        if (process.ExitCode == 0) return StepArm.FromJson(output.Trim().Split('\n')[^1]);
        var says = error.Result.Trim().Split('\n')[^1].Replace("titan: error: ", "", StringComparison.Ordinal);
        // The arm's own code where it is one of ours; a process that the system killed has none.
        var code = Enum.IsDefined((ExitCode)process.ExitCode) ? (ExitCode)process.ExitCode : ExitCode.RunFailed;
        throw new TitanException(code, $"arm '{name}' failed: {(says.Length > 0 ? says : $"exit code {process.ExitCode}{(process.ExitCode == 137 ? ", probably out of memory; make the model or --seq smaller" : "")}")}");
    }

    private IEnumerable<string> Sizes() =>
    [
        "--dim", $"{Model.Dimension}", "--layers", $"{Model.Layers}", "--heads", $"{Model.Heads}", "--kv-heads", $"{Model.KvHeads}", "--ffn", $"{Model.FeedForward}",
        "--vocab", $"{Model.Vocabulary}", "--seq", $"{Model.Length}", "--batch", $"{Model.Batch}",
    ];
}
