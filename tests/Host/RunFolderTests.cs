using Titan.Abstractions;
using Titan.Host.Tests.Signals;

namespace Titan.Host.Tests;

/// <summary>What runs that share a folder do to each other, and a run whose validation text goes.</summary>
public sealed class RunFolderTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("titan-folder").FullName;

    public void Dispose() => Directory.Delete(folder, true);

    [Fact]
    public void A_second_run_in_a_folder_is_refused_and_the_first_is_not_disturbed()
    {
        using var hold = new Hold("micro-batch:2");
        using var first = new HeldRun(hold, TitanProcess.SmallJob(folder, 3));
        var before = File.ReadAllText(Path.Combine(folder, "run.json"));
        var (code, said) = TitanProcess.Run(TitanProcess.SmallJob(folder, 3, "--debug.seed", "2"));
        Assert.True(code == (int)ExitCode.Data, $"exit code {code}: {said}");
        Assert.Contains($"job.dump_folder '{folder}' is in use by another run", said, StringComparison.Ordinal);
        Assert.Contains("choose another job.dump_folder", said, StringComparison.Ordinal);
        Assert.Equal(before, File.ReadAllText(Path.Combine(folder, "run.json")));
        hold.Release();
        var end = first.End();
        Assert.True(end.ExitCode == 0, end.Output);
        Assert.Equal(3, ResumeTests.Losses(folder).Count);
        // And when it has ended, another may begin.
        Assert.Equal(0, TitanProcess.Run(TitanProcess.SmallJob(folder, 1)).ExitCode);
    }

    [Theory]
    [InlineData("2")]
    [InlineData("1000")]
    public void A_validation_set_that_vanishes_fails_the_run_after_its_step_was_saved_and_is_named_by_its_key(string interval)
    {
        string text = Path.Combine(folder, "held-out.txt"), run = Path.Combine(folder, "run");
        File.WriteAllText(text, string.Concat(Enumerable.Repeat("The quick brown fox jumps over the lazy dog.\n\n", 200)));
        using var hold = new Hold("micro-batch:2");
        using var process = new HeldRun(hold, TitanProcess.SmallJob(run, 3, "--checkpoint.enable", "--checkpoint.interval", interval, "--validation.enable", "--validation.dataset", "text",
            "--validation.dataset_path", text, "--validation.freq", "2", "--validation.steps", "1"));
        File.Delete(text);
        hold.Release();
        var (code, output) = process.End();
        Assert.True(code == (int)ExitCode.Data, $"exit code {code}: {output}");
        Assert.Contains("validation.dataset_path", output, StringComparison.Ordinal);
        Assert.DoesNotContain("training.dataset_path", output, StringComparison.Ordinal);
        Assert.Contains("step 2 is saved", output, StringComparison.Ordinal);
        Assert.True(Directory.Exists(Path.Combine(run, "checkpoint", "step-2")));
    }

    [Theory]
    [InlineData("no such dataset", "--validation.dataset", "c5")]
    [InlineData("does not exist", "--validation.dataset", "text", "--validation.dataset_path", "/no/such/file.txt")]
    [InlineData("is not shipped", "--validation.dataset", "c4_validation")]
    public void What_is_wrong_with_validation_is_said_of_validation(string says, params string[] args)
    {
        var (code, output) = TitanProcess.Run(TitanProcess.SmallJob(folder, 1, ["--validation.enable", .. args]));
        Assert.NotEqual(0, code);
        Assert.Contains(says, output, StringComparison.Ordinal);
        Assert.Contains("validation.dataset", output, StringComparison.Ordinal);
        Assert.DoesNotContain("training.dataset", output, StringComparison.Ordinal);
    }
}
