using System.Diagnostics;

namespace Titan.Host.Tests;

/// <summary>The program in a process of its own.</summary>
internal static class TitanProcess
{
    public static (int ExitCode, string Output) Run(IEnumerable<string> args, string? failpoint = null)
    {
        using var process = Start(args, failpoint);
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output + error.Result);
    }

    public static Process Start(IEnumerable<string> args, string? failpoint = null)
    {
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "titan")) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var arg in args) start.ArgumentList.Add(arg);
        if (failpoint is not null) start.Environment["TITAN_FAILPOINT"] = failpoint;
        return Process.Start(start)!;
    }

    /// <summary>A job of a few seconds.</summary>
    public static string[] SmallJob(string folder, int steps, params string[] more) =>
    [
        "train", "--job.dump_folder", folder, "--model.flavor", "cpu_small", "--training.seq_len", "32", "--training.local_batch_size", "2", "--training.steps", steps.ToString(),
        "--lr_scheduler.warmup_steps", "2", "--metrics.log_freq", "1", "--debug.seed", "1", .. more,
    ];
}
