using Titan.Host.Runtime;
using Titan.Training.Checkpoints;

namespace Titan.Host.Tests.Signals;

/// <summary>
/// A signal at every moment of a run on one rank. The first ends it with 0, with its steps saved; another, later, ends it at once with 128 and the signal's number, with what was
/// saved before whole. A few cells for each moment and each kind of signal; with <c>TITAN_FULL_CATALOGUE=1</c> all.
/// </summary>
public sealed class StopGridTests
{
    public static TheoryData<string, string> Cells => StopMoment.Cells(
    [
        ("starting", "TERM"), ("building", "INT"), ("first step", "HUP"), ("step", "TERM+TERM"), ("save", "TERM"), ("validation", "INT"), ("ending", "TERM"), ("reading", "TERM"),
        ("starting", "INT then INT"), ("building", "TERM then TERM"), ("step", "TERM then INT"), ("save", "TERM then TERM"), ("validation", "INT then TERM"), ("reading", "QUIT"),
        ("ending", "TERM then TERM"),
    ], StopMoment.All.Select(m => m.Moment));

    [Theory]
    [MemberData(nameof(Cells))]
    public void A_run_stops_as_asked_at_every_moment(string moment, string signals)
    {
        var at = StopMoment.Of(moment);
        var folder = Directory.CreateTempSubdirectory("titan-stop").FullName;
        try
        {
            using var hold = new Hold(at.Held);
            var (code, output) = Send(hold, Job(folder), signals, isReleased: moment != "reading");
            var isLeft = signals == "QUIT" || signals.Contains("then", StringComparison.Ordinal);
            Assert.True(code == (isLeft ? 128 + Signal.Number(signals.Split(' ')[^1]) : 0), $"exit code {code}: {output}");
            Assert.DoesNotContain("error", output, StringComparison.Ordinal);
            var steps = Checkpoints(folder);
            // Whatever is there is whole.
            foreach (var step in steps) _ = CheckpointStore.OpenFolder(Path.Combine(folder, "checkpoint", $"step-{step}"));
            if (isLeft) return;
            Assert.Equal(at.Saved, steps.Count == 0 ? null : steps.Max());
            Assert.Contains(moment == "ending" ? "Training completed" : "Stopped", output, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, true);
        }
    }

    [Theory]
    [InlineData("TERM", 143)]
    [InlineData("INT", 130)]
    [InlineData("HUP", 129)]
    [InlineData("QUIT", 131)]
    public void A_measurement_is_left_at_once_and_leaves_no_empty_file(string signal, int code)
    {
        var folder = Directory.CreateTempSubdirectory("titan-stop").FullName;
        try
        {
            using var hold = new Hold("measuring");
            var end = Send(hold, ["bench", "kernels", "--sizes", "32768", "--matmuls", "none", "--repetitions", "1", "--out", folder], signal, isReleased: false);
            Assert.True(end.ExitCode == code, $"exit code {end.ExitCode}: {end.Output}");
            Assert.Empty(Directory.EnumerateFileSystemEntries(folder));
        }
        finally
        {
            Directory.Delete(folder, true);
        }
    }

    [Fact]
    public void A_run_that_was_stopped_in_validation_goes_on_bit_for_bit()
    {
        string stopped = Directory.CreateTempSubdirectory("titan-stop").FullName, whole = Directory.CreateTempSubdirectory("titan-stop").FullName;
        try
        {
            using var hold = new Hold("validation:2");
            Assert.Equal(0, Send(hold, Job(stopped), "TERM", isReleased: true).ExitCode);
            Assert.Equal(0, TitanProcess.Run(Job(stopped)).ExitCode);
            Assert.Equal(0, TitanProcess.Run(Job(whole)).ExitCode);
            Assert.Equal(ResumeTests.Losses(whole), ResumeTests.Losses(stopped));
        }
        finally
        {
            Directory.Delete(stopped, true);
            Directory.Delete(whole, true);
        }
    }

    /// <summary>Starts the program, sends the signals when it is held, and waits for its end.</summary>
    private static (int ExitCode, string Output) Send(Hold hold, string[] args, string signals, bool isReleased)
    {
        using var run = new HeldRun(hold, args);
        var isOne = signals.Contains('+', StringComparison.Ordinal);
        var (first, second) = signals.Split([" then ", "+"], StringSplitOptions.None) is [var one, var two] ? (one, two) : (signals, null);
        run.Signal(first);
        if (isOne) run.Signal(second!);
        if (first != "QUIT" && args[0] == "train") run.WaitFor("saving and stopping");
        if (second is not null && !isOne)
        {
            Thread.Sleep(StopSignals.OneRequest + TimeSpan.FromMilliseconds(200));
            run.Signal(second);
        }
        else if (isReleased && first != "QUIT") hold.Release();

        return run.End();
    }

    private static List<int> Checkpoints(string folder) => Directory.Exists(Path.Combine(folder, "checkpoint"))
        ? [.. Directory.EnumerateDirectories(Path.Combine(folder, "checkpoint"), "step-*").Select(d => int.Parse(Path.GetFileName(d)["step-".Length..], System.Globalization.CultureInfo.InvariantCulture))]
        : [];

    private static string[] Job(string folder) => TitanProcess.SmallJob(folder, 4,
        "--checkpoint.enable", "--checkpoint.interval", "2", "--checkpoint.no-last_save_model_only", "--validation.enable", "--validation.dataset", "titan_sample_validation",
        "--validation.freq", "2", "--validation.steps", "2");
}
