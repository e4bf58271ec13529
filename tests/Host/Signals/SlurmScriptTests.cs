using System.Diagnostics;
using System.Text;
using Titan.Host.Tests.Ranks;
using Titan.Training.Checkpoints;

namespace Titan.Host.Tests.Signals;

/// <summary><c>deploy/slurm.sh</c> with stand-ins for srun, which passes signals on to its tasks, and scontrol, which writes down what it is told.</summary>
[Collection(RankTests.Name)]
public sealed class SlurmScriptTests : IDisposable
{
    private const string PassesOn =
        """
        while [[ $1 == --* ]]; do shift; done
        @start &
        step=$!
        trap 'kill -TERM $(@tasks)' TERM
        echo started
        status=0
        wait $step || status=$?
        while kill -0 $step 2>/dev/null; do status=0; wait $step || status=$?; done
        exit $status
        """;

    private readonly string folder = Directory.CreateTempSubdirectory("titan-slurm-").FullName;

    public void Dispose() => Directory.Delete(folder, true);

    [Theory]
    [InlineData(1, false)]
    [InlineData(2, true)]
    public void Before_the_time_limit_the_ranks_save_and_the_job_is_queued_again(int ranks, bool tellsTasksToo)
    {
        // Tasks that join by Open MPI, since there is no Slurm.
        Stand("srun", ranks == 1 ? PassesOn.Replace("@start", "SLURM_PROCID=0 SLURM_STEP_NUM_TASKS=1 \"$@\"").Replace("@tasks", "echo $step")
            : PassesOn.Replace("@start", $"mpirun --allow-run-as-root --bind-to none --oversubscribe --mca plm isolated -np {ranks} \"$@\"").Replace("@tasks", "pgrep -P $step"));
        using var hold = new Hold("micro-batch:3");
        using var process = Start(hold.Variable);
        var output = Read(process);
        hold.WaitReached(ranks, () => process.HasExited);
        Signal.Send(process.Id, "TERM");
        // scancel tells the batch script and, at the same time, the tasks: still one request.
        if (tellsTasksToo)
            foreach (var task in hold.Reached) Signal.Send(task, "TERM");
        WaitFor(output, "saving and stopping", process);
        hold.Release();
        End(process);
        Assert.True(process.ExitCode == 0, $"exit code {process.ExitCode}: {output}");
        Assert.Equal("requeue 7", Told());
        // Many ranks finish their step.
        _ = CheckpointStore.OpenFolder(Path.Combine(folder, "run", "checkpoint", ranks == 1 ? "step-2" : "step-3"));
    }

    [Theory]
    [InlineData("exit 0", null, 0, false)]
    [InlineData("exit 5", null, 5, false)]
    [InlineData("trap 'exit 0' TERM; echo started; while :; do sleep 0.05; done", null, 0, true)]
    [InlineData("trap 'exit 5' TERM; echo started; while :; do sleep 0.05; done", null, 5, false)]
    [InlineData("echo started; exec sleep 60", null, 143, true)]
    [InlineData("trap 'exit 0' TERM; echo started; while :; do sleep 0.05; done", "0", 0, false)]
    public void Only_what_was_stopped_is_queued_again(string srun, string? requeue, int code, bool isQueued)
    {
        Stand("srun", srun);
        using var process = Start(("TITAN_REQUEUE", requeue ?? "1"));
        var output = Read(process);
        if (srun.Contains("started", StringComparison.Ordinal))
        {
            WaitFor(output, "started", process);
            Signal.Send(process.Id, "TERM");
        }

        End(process);
        Assert.True(process.ExitCode == code, $"exit code {process.ExitCode}: {output}");
        Assert.Equal(isQueued ? "requeue 7" : "", Told());
    }

    private string Told() => File.Exists(Path.Combine(folder, "told")) ? File.ReadAllText(Path.Combine(folder, "told")).Trim() : "";

    private Process Start(params (string Name, string Value)[] environment)
    {
        Stand("scontrol", $"echo \"$*\" >>'{folder}/told'");
        string[] args =
        [
            Path.Combine(RankJob.Repository, "deploy", "slurm.sh"),
            .. TitanProcess.SmallJob(Path.Combine(folder, "run"), 8, "--checkpoint.enable", "--checkpoint.interval", "100").Skip(1),
        ];
        var start = new ProcessStartInfo("/bin/bash", args) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = folder };
        foreach (var name in start.Environment.Keys.Where(k => k.StartsWith("SLURM_") || k.StartsWith("OMPI_") || k.StartsWith("PMI") || k == "NGPU").ToList()) start.Environment.Remove(name);
        (string, string)[] always =
        [
            ("PATH", $"{folder}:{Environment.GetEnvironmentVariable("PATH")}"), ("TITAN_ROOT", RankJob.Repository), ("TITAN_PROGRAM", RankJob.Program), ("SLURM_JOB_ID", "7"),
            ("CONFIG_FILE", Path.Combine(RankJob.Repository, "configs", "llama3", "cpu_small.toml")), ("SLURM_CPUS_PER_TASK", "1"), ("OMP_WAIT_POLICY", "PASSIVE"),
        ];
        foreach (var (name, value) in always.Concat(environment)) start.Environment[name] = value;
        return Process.Start(start)!;
    }

    private static StringBuilder Read(Process process)
    {
        var output = new StringBuilder();
        DataReceivedEventHandler append = (_, e) =>
        {
            lock (output) output.AppendLine(e.Data);
        };
        process.OutputDataReceived += append;
        process.ErrorDataReceived += append;
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        return output;
    }

    private static void WaitFor(StringBuilder output, string text, Process process)
    {
        for (var clock = Stopwatch.StartNew(); ; Thread.Sleep(10))
        {
            lock (output)
                if (output.ToString().Contains(text, StringComparison.Ordinal)) return;
            Assert.False(process.HasExited, $"ended before it wrote '{text}': {output}");
            Assert.True(clock.Elapsed < TimeSpan.FromSeconds(60), $"has not written '{text}': {output}");
        }
    }

    private static void End(Process process)
    {
        Assert.True(process.WaitForExit(TimeSpan.FromSeconds(120)));
        process.WaitForExit();
    }

    private void Stand(string name, string body)
    {
        var path = Path.Combine(folder, name);
        File.WriteAllText(path, $"#!/bin/bash\n{body}\n");
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }
}
