using System.Diagnostics;

namespace Titan.Host.Tests;

/// <summary>The program in a process of its own, for ten minutes at most: what hangs is to fail, not to stop all tests.</summary>
internal static class TitanProcess
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(10);

    public static (int ExitCode, string Output) Run(IEnumerable<string> args, string? failpoint = null) => EndOf(Start(args, failpoint));

    /// <summary>The program with further environment variables.</summary>
    public static (int ExitCode, string Output) RunWith(Dictionary<string, string> environment, params string[] args) => EndOf(Start(args, environment: environment));

    private static (int ExitCode, string Output) EndOf(Process started)
    {
        using var process = started;
        using var limit = EndInTime(process);
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output + error.Result);
    }

    /// <summary>Kills a process that takes too long; its exit code tells. Dispose when it has ended.</summary>
    public static IDisposable EndInTime(Process process) => new Timer(_ =>
    {
        try
        {
            process.Kill(entireProcessTree: true);
        }
        catch (InvalidOperationException)
        {
            // It ended, and was let go, in this moment.
        }
    }, null, Limit, Timeout.InfiniteTimeSpan);

    public static Process Start(IEnumerable<string> args, string? failpoint = null, Dictionary<string, string>? environment = null)
    {
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "titan")) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var arg in args) start.ArgumentList.Add(arg);
        if (failpoint is not null) start.Environment["TITAN_FAILPOINT"] = failpoint;
        foreach (var (name, value) in environment ?? []) start.Environment[name] = value;
        return Process.Start(start)!;
    }

    /// <summary>A job of a few seconds.</summary>
    public static string[] SmallJob(string folder, int steps, params string[] more) => JobFlags.With(
    [
        "train", "--job.dump_folder", folder, "--model.flavor", "cpu_small", "--training.seq_len", "32", "--training.local_batch_size", "2", "--training.steps", steps.ToString(),
        "--lr_scheduler.warmup_steps", "2", "--metrics.log_freq", "1", "--debug.seed", "1",
    ], more);
}
