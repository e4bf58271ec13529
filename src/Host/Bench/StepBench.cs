using System.Diagnostics;
using System.Globalization;
using Titan.Abstractions;
using Titan.Host.Runtime;
using Titan.Quantization.Measurement;

namespace Titan.Host.Bench;

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

    /// <summary>How it measures.</summary>
    public string Description =>
        $"forward, loss and backward of one step, no optimizer, bf16 compute, fp32 weights; every arm in a process of its own, arms in turn, {Rounds} rounds, {WarmUps} warm-up and {Repetitions} timed steps in each; " +
        "median and least of all timed steps; peak resident memory of the process, on a GPU also the device's memory in use after the last step; weights and tokens from a fixed seed, so the losses may be compared";

    /// <summary>Runs all arms.</summary>
    public BenchmarkTable Run(BenchProgress progress)
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

        var times = results.Select(r => Timing.Of([.. r.SelectMany(a => a.Seconds)])).ToList();
        string[] deviceMemory = results[0][0].DeviceGiB is null ? [] : ["device memory in use, GiB"];
        double tokens = (double)Model.Batch * Model.Length, plain = times[0].Median, fused = times[1].Median;
        return new BenchmarkTable("Training step",
            ["arm", "s/step", "s/step, least", "tokens/s", "vs bf16 plain", "vs bf16 fused", "peak memory, GiB", .. deviceMemory, "loss", "steps"],
            [.. Arms.Select((arm, i) => (IReadOnlyList<string>)
            [
                arm.Name, BenchText.Digits(times[i].Median), BenchText.Digits(times[i].Least), BenchText.Digits(tokens / times[i].Median), BenchText.Ratio(plain / times[i].Median), BenchText.Ratio(fused / times[i].Median),
                BenchText.Digits(results[i].Max(r => r.PeakGiB)), .. deviceMemory.Select(_ => BenchText.Digits(results[i].Max(r => r.DeviceGiB ?? 0))), results[i][^1].Loss.ToString("F5", CultureInfo.InvariantCulture), $"{times[i].Repetitions}",
            ])]);
    }

    private StepArm Start(string name, IReadOnlyList<string> job)
    {
        var program = Environment.ProcessPath!;
        var start = new ProcessStartInfo(program) { RedirectStandardOutput = true, RedirectStandardError = true };
        // Started through dotnet, the program is the first argument.
        if (Path.GetFileNameWithoutExtension(program) == "dotnet") start.ArgumentList.Add(typeof(StepBench).Assembly.Location);
        foreach (var argument in (string[])["bench", "step", "--one-arm", .. Sizes(), "--warm-ups", $"{WarmUps}", "--repetitions", $"{Repetitions}", .. job]) start.ArgumentList.Add(argument);
        using var process = Process.Start(start)!;
        // An arm must not go on computing when nobody waits for it any more.
        Action stop = process.Kill;
        StopSignals.Leaving += stop;
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        StopSignals.Leaving -= stop;
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
