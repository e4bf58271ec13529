using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Titan.Training.Data;

namespace Titan.Host.Tests.Ranks;

/// <summary>How a job of ranks ended.</summary>
/// <param name="ExitCode">The launcher's.</param>
/// <param name="Output">stdout and stderr of launcher and ranks.</param>
internal sealed record JobEnd(int ExitCode, string Output);

/// <summary>Tests that start several ranks, each with all of this program: alone, or they would wait for each other's cores.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class RankTests
{
    /// <summary>What such a test class puts itself into.</summary>
    public const string Name = "Ranks";
}

/// <summary>A job that <c>run_train.sh</c> starts, in a folder of its own; nothing of it is left when it is disposed.</summary>
internal sealed class RankJob : IDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(120), Patience = TimeSpan.FromSeconds(20);
    private static readonly string[] OfLaunchers = ["SLURM_", "OMPI_", "PMI", "NGPU", "LOG_RANK", "CONFIG_FILE", "HOSTFILE", "TITAN_HOSTS", "TITAN_MPIRUN_FLAGS", "TITAN_PLUGIN_PATH"];

    private readonly StringBuilder output = new();
    private Process? process;

    /// <summary>The program that the tests were built with.</summary>
    public static string Program { get; } = Path.Combine(AppContext.BaseDirectory, "titan");

    public static string Repository { get; } = Path.GetDirectoryName(SampleAssets.Root)!;

    /// <summary>The job's dump folder. It is in the command line of every process of the job, by which they are found.</summary>
    public string Folder { get; init; } = Directory.CreateTempSubdirectory("titan-ranks-").FullName;

    public int Ranks { get; init; } = 4;

    /// <summary>Further environment, for example <c>LOG_RANK</c>.</summary>
    public Dictionary<string, string> Environment { get; init; } = [];

    /// <summary>Lines of bash before the program of a rank starts, which see <c>$rank</c> and may change <c>args</c>; the ranks of a job are alike without.</summary>
    public string? EachRank { get; init; }

    /// <summary>A launcher in front of the script, under which it is one rank; none: the script starts its own.</summary>
    public string[] Launcher { get; init; } = [];

    /// <summary>Whether the job is a process group, as a terminal's foreground job is.</summary>
    public bool IsGroup { get; init; }

    /// <summary>A debug model whose global batch is four sequences of 64 tokens on any number of ranks.</summary>
    public static string[] DebugModel(int steps, int batchRanks, params string[] more) => JobFlags.With(
    [
        "--model.flavor", "debugmodel", "--training.seq_len", "64", "--training.local_batch_size", $"{4 / batchRanks}", "--training.steps", $"{steps}", "--lr_scheduler.warmup_steps", "2",
        "--metrics.log_freq", "1", "--debug.seed", "1",
    ], more);

    /// <summary>Runs a debug model to its end and expects success.</summary>
    public static (SortedDictionary<int, double> Losses, string Output) Train(int steps, int ranks, int batchRanks, params string[] more)
    {
        using var job = new RankJob { Ranks = ranks };
        var end = job.Run(DebugModel(steps, batchRanks, more));
        Assert.True(end.ExitCode == 0, $"exit code {end.ExitCode}: {end.Output}");
        return (job.Losses(), end.Output);
    }

    public JobEnd Run(params string[] args)
    {
        Start(args);
        return End();
    }

    public void Start(params string[] args)
    {
        output.Clear();
        string[] command = [.. IsGroup ? new[] { "setsid" } : [], .. Launcher, "/bin/bash", Path.Combine(Repository, "run_train.sh"), "--job.dump_folder", Folder, .. args];
        var start = new ProcessStartInfo(command[0], command[1..]) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = Folder };
        foreach (var name in start.Environment.Keys.Where(k => OfLaunchers.Any(k.StartsWith)).ToList()) start.Environment.Remove(name);
        (string, string)[] always = [("OMP_NUM_THREADS", "1"), ("OMP_WAIT_POLICY", "PASSIVE"), ("TITAN_PROGRAM", EachRank is null ? Program : Wrapper())];
        foreach (var (name, value) in always.Concat(Environment.Select(e => (e.Key, e.Value)))) start.Environment[name] = value;
        if (Launcher.Length == 0) start.Environment["NGPU"] = $"{Ranks}";
        process = Process.Start(start)!;
        process.OutputDataReceived += Append;
        process.ErrorDataReceived += Append;
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    /// <summary>Waits until the job has written a text.</summary>
    public void WaitFor(string text)
    {
        var clock = Stopwatch.StartNew();
        while (!Written().Contains(text, StringComparison.Ordinal))
        {
            Assert.False(process!.HasExited && Processes().Count == 0, $"ended before it wrote '{text}':\n{Written()}");
            Assert.True(clock.Elapsed < Limit, $"has not written '{text}' within {Limit}:\n{Written()}");
            Thread.Sleep(20);
        }
    }

    /// <summary>Waits for the launcher, then for the last rank: none may outlive it for long.</summary>
    public JobEnd End()
    {
        Assert.True(process!.WaitForExit(Limit), $"did not end within {Limit}:\n{Written()}");
        var clock = Stopwatch.StartNew();
        while (Processes().Count > 0)
        {
            Assert.True(clock.Elapsed < Patience, $"{Processes().Count} processes outlived their launcher by {Patience}:\n{Written()}");
            Thread.Sleep(50);
        }

        process.WaitForExit();
        return new(process.ExitCode, Written());
    }

    /// <summary>Whether the launcher has ended.</summary>
    public bool HasEnded => process!.HasExited;

    /// <summary>Sends a signal to the launcher, as a scheduler does.</summary>
    public void Signal(int signal) => Assert.Equal(0, Kill(process!.Id, signal));

    /// <summary>Sends a signal to all processes of the launcher's group, as a terminal does.</summary>
    public void SignalGroup(int signal) => Assert.Equal(0, Kill(-process!.Id, signal));

    /// <summary>Sends a signal to the launcher that the script has started.</summary>
    public void SignalLauncher(int signal) => Assert.Equal(0, Kill(Processes().Single(p => Text(p, "comm").StartsWith("mpirun", StringComparison.Ordinal) || Text(p, "comm").StartsWith("orterun", StringComparison.Ordinal)), signal));

    /// <summary>Sends a signal to one rank.</summary>
    public void Signal(int rank, int signal) =>
        Assert.Equal(0, Kill(Processes().Single(p => Text(p, "comm").Trim() == "titan" && Text(p, "environ").Split('\0').Contains($"OMPI_COMM_WORLD_RANK={rank}")), signal));

    /// <summary>The loss of each step, from the file that the run wrote.</summary>
    public SortedDictionary<int, double> Losses()
    {
        var losses = new SortedDictionary<int, double>();
        foreach (var line in File.ReadLines(Path.Combine(Folder, "metrics.jsonl")))
        {
            using var row = JsonDocument.Parse(line);
            // Rows of a validation have another loss.
            if (row.RootElement.TryGetProperty("loss_metrics/global_avg_loss", out var loss)) losses[row.RootElement.GetProperty("step").GetInt32()] = loss.GetDouble();
        }

        return losses;
    }

    public void Dispose()
    {
        foreach (var left in Processes()) _ = Kill(left, 9);
        process?.WaitForExit(Patience);
        process?.Dispose();
        Directory.Delete(Folder, true);
    }

    private void Append(object sender, DataReceivedEventArgs e)
    {
        lock (output) output.AppendLine(e.Data);
    }

    private string Written()
    {
        lock (output) return output.ToString();
    }

    private string Wrapper()
    {
        var path = Path.Combine(Folder, "each-rank");
        File.WriteAllText(path, $"#!/bin/bash\nrank=${{OMPI_COMM_WORLD_RANK:-none}} args=(\"$@\")\n{EachRank}\nexec '{Program}' \"${{args[@]}}\"\n");
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        return path;
    }

    private List<int> Processes() =>
        [.. Directory.EnumerateDirectories("/proc").Select(Path.GetFileName).Where(n => int.TryParse(n, out _)).Select(n => int.Parse(n!, CultureInfo.InvariantCulture))
            .Where(p => Text(p, "cmdline").Contains(Folder, StringComparison.Ordinal))];

    private static string Text(int process, string file)
    {
        try
        {
            return File.ReadAllText($"/proc/{process}/{file}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It ended while we looked at it.
            return "";
        }
    }

    [DllImport("libc", EntryPoint = "kill")]
    private static extern int Kill(int process, int signal);
}
