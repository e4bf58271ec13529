using System.ComponentModel;
using System.Diagnostics;
using System.Text;

namespace Titan.Distributed.Tests;

/// <summary>How a job of ranks ended.</summary>
/// <param name="ExitCode">The launcher's.</param>
/// <param name="Output">stdout and stderr of launcher and ranks.</param>
/// <param name="Duration">From start to end.</param>
public sealed record JobResult(int ExitCode, string Output, TimeSpan Duration);

/// <summary>Starts the worker under an MPI launcher and leaves nothing behind.</summary>
internal sealed record RankLauncher(string Program, string[] Arguments)
{
    private const int LimitSeconds = 120;

    public static readonly RankLauncher OpenMpi = new("mpirun.openmpi",
    [
        // Without ssh on the PATH it would not even start local ranks; without --bind-to none each rank gets one core.
        "--allow-run-as-root", "--bind-to", "none", "--oversubscribe", "-x", "TERM=dumb", "--mca", "plm", "isolated", "--timeout", $"{LimitSeconds - 10}",
    ]);

    public static readonly RankLauncher Mpich = new("mpiexec.mpich", []);

    public static readonly RankLauncher Alone = new("", []);

    public static RankLauncher Named(string name) => name == "Open MPI" ? OpenMpi : Mpich;

    public JobResult Run(int ranks, string scenario, params (string Name, string Value)[] environment)
    {
        // Found again in the command line of every process of this job.
        var token = $"job-{Guid.NewGuid():N}";
        var worker = Path.Combine(AppContext.BaseDirectory, "Titan.Distributed.Worker");
        string[] command = Program.Length == 0 ? [worker, scenario, token] : [Program, .. Arguments, "-np", $"{ranks}", worker, scenario, token];
        var start = new ProcessStartInfo(command[0], command[1..]) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var (name, value) in (ReadOnlySpan<(string, string)>)[("OMP_NUM_THREADS", "1"), ("OMP_WAIT_POLICY", "PASSIVE"), .. environment]) start.Environment[name] = value;
        var clock = Stopwatch.StartNew();
        using var process = Process.Start(start)!;
        var output = new StringBuilder();
        void Append(object _, DataReceivedEventArgs e)
        {
            lock (output) output.AppendLine(e.Data);
        }

        process.OutputDataReceived += Append;
        process.ErrorDataReceived += Append;
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        try
        {
            if (!process.WaitForExit(TimeSpan.FromSeconds(LimitSeconds))) Assert.Fail($"{scenario} on {ranks} ranks did not end within {LimitSeconds} s:\n{output}");
            var took = clock.Elapsed;
            // The pipes are drained; a rank that outlived its launcher would keep them open for ever.
            EndAll(token);
            process.WaitForExit();
            lock (output) return new(process.ExitCode, output.ToString(), took);
        }
        finally
        {
            if (!process.HasExited) process.Kill(entireProcessTree: true);
            EndAll(token);
        }
    }

    private static void EndAll(string token)
    {
        foreach (var folder in Directory.EnumerateDirectories("/proc").Where(f => int.TryParse(Path.GetFileName(f), out _)))
        {
            try
            {
                if (!File.ReadAllText(Path.Combine(folder, "cmdline")).Contains(token, StringComparison.Ordinal)) continue;
                using var left = Process.GetProcessById(int.Parse(Path.GetFileName(folder), System.Globalization.CultureInfo.InvariantCulture));
                left.Kill();
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or InvalidOperationException or Win32Exception)
            {
                // It ended while we looked at it.
            }
        }
    }
}
