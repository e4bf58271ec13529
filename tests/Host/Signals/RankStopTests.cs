using Titan.Host.Runtime;
using Titan.Host.Tests.Ranks;
using Titan.Training.Checkpoints;

namespace Titan.Host.Tests.Signals;

/// <summary>A signal to <c>run_train.sh</c>, or from a terminal to its group, at every moment of a run on two ranks.</summary>
[Collection(RankTests.Name)]
public sealed class RankStopTests
{
    public static TheoryData<string, string> Cells => StopMoment.Cells(
    [
        ("starting", "TERM"), ("building", "INT then INT"), ("step", "INT"), ("save", "TERM then TERM"), ("validation", "TERM"), ("ending", "HUP"), ("reading", "TERM+TERM"),
    ], StopMoment.All.Select(m => m.Moment));

    [TheoryWithTools("mpirun.openmpi")]
    [MemberData(nameof(Cells))]
    public void All_ranks_stop_as_asked_at_every_moment(string moment, string signals)
    {
        var at = StopMoment.Of(moment);
        using var hold = new Hold(at.Held);
        using var job = new RankJob { Ranks = 2, IsGroup = true, Environment = { [hold.Variable.Name] = hold.Variable.Value } };
        job.Start(Job);
        hold.WaitReached(2, () => job.HasEnded);
        var parts = signals.Split([" then ", "+"], StringSplitOptions.None);
        var isLeft = signals == "QUIT" || signals.Contains("then", StringComparison.Ordinal);
        Send(job, parts[0]);
        if (signals.Contains('+', StringComparison.Ordinal)) Send(job, parts[1]);
        job.WaitFor("passed on to the ranks");
        if (signals != "QUIT" && isLeft)
        {
            Thread.Sleep(StopSignals.OneRequest + TimeSpan.FromMilliseconds(500));
            Send(job, parts[1]);
        }
        else if (moment != "reading") hold.Release();

        var end = job.End();
        Assert.True(end.ExitCode == (isLeft ? 128 + Signal.Number(parts[^1]) : 0), $"exit code {end.ExitCode}: {end.Output}");
        var steps = Checkpoints(job);
        foreach (var step in steps) _ = CheckpointStore.OpenFolder(Path.Combine(job.Folder, "checkpoint", $"step-{step}"));
        if (isLeft) return;
        Assert.Equal(at.SavedByMany, steps.Count == 0 ? null : steps.Max());
        Assert.DoesNotContain("error", end.Output, StringComparison.Ordinal);
    }

    [FactWithTools("mpirun.openmpi")]
    public void A_signal_before_the_ranks_listen_is_kept_for_them()
    {
        using var hold = new Hold("ranks");
        using var job = new RankJob { Ranks = 2, EachRank = $"if [ $rank != none ]; then touch '{hold.Path}'.$$; while [ -e '{hold.Path}' ]; do sleep 0.05; done; fi" };
        job.Start(Job);
        hold.WaitReached(2, () => job.HasEnded);
        job.Signal(Signal.Number("TERM"));
        hold.Release();
        var end = job.End();
        Assert.True(end.ExitCode == 0, $"exit code {end.ExitCode}: {end.Output}");
        Assert.Contains("Stopped before", end.Output, StringComparison.Ordinal);
    }

    [FactWithTools("mpirun.openmpi")]
    public void A_signal_before_anything_has_begun_ends_the_script_as_it_would_end_any_program()
    {
        using var hold = new Hold("script");
        using var job = new RankJob { Ranks = 2, EachRank = $"touch '{hold.Path}'.$$; while [ -e '{hold.Path}' ]; do sleep 0.05; done" };
        job.Start(Job);
        hold.WaitReached(1, () => job.HasEnded);
        job.Signal(Signal.Number("TERM"));
        var end = job.End();
        Assert.True(end.ExitCode == 143, $"exit code {end.ExitCode}: {end.Output}");
        Assert.Contains("nothing had begun", end.Output, StringComparison.Ordinal);
    }

    [TheoryWithTools("mpirun.openmpi")]
    [InlineData(true)]
    [InlineData(false)]
    public void Ranks_whose_script_or_launcher_is_killed_do_not_stay(bool script)
    {
        using var hold = new Hold("micro-batch:3");
        using var job = new RankJob { Ranks = 2, Environment = { [hold.Variable.Name] = hold.Variable.Value } };
        job.Start(Job);
        hold.WaitReached(2, () => job.HasEnded);
        if (script) job.Signal(Signal.Number("KILL"));
        else job.SignalLauncher(Signal.Number("KILL"));
        if (script) job.WaitFor("was killed: the ranks are told to save and stop");
        hold.Release();
        // Fails where a process stays. Open MPI's ranks end with their launcher.
        _ = job.End();
        if (script) Assert.Equal(3, Checkpoints(job).Max());
    }

    private static string[] Job { get; } =
    [
        "--model.flavor", "cpu_small", "--training.seq_len", "32", "--training.local_batch_size", "1", "--training.steps", "4", "--lr_scheduler.warmup_steps", "2", "--metrics.log_freq", "1", "--debug.seed", "1",
        "--checkpoint.enable", "--checkpoint.interval", "2", "--checkpoint.no-last_save_model_only", "--validation.enable", "--validation.dataset", "titan_sample_validation", "--validation.freq", "2",
        "--validation.steps", "2",
    ];

    /// <summary>Ctrl-C and Ctrl-\ go to the whole foreground group, what a scheduler or a closed terminal's shell sends to the script.</summary>
    private static void Send(RankJob job, string name)
    {
        if (name is "INT" or "QUIT") job.SignalGroup(Signal.Number(name));
        else job.Signal(Signal.Number(name));
    }

    private static List<int> Checkpoints(RankJob job) => Directory.Exists(Path.Combine(job.Folder, "checkpoint"))
        ? [.. Directory.EnumerateDirectories(Path.Combine(job.Folder, "checkpoint"), "step-*").Select(d => int.Parse(Path.GetFileName(d)["step-".Length..], System.Globalization.CultureInfo.InvariantCulture))]
        : [];
}
