using System.Diagnostics;
using Titan.Abstractions;

namespace Titan.Host.Tests;

/// <summary>Standard output on a full disk, for which <c>/dev/full</c> stands.</summary>
public sealed class FullDiskTests
{
    [Theory]
    [InlineData(">/dev/full")]
    [InlineData(">/dev/full 2>&1")]
    public void A_run_goes_on_without_its_log(string into)
    {
        var folder = Directory.CreateTempSubdirectory("titan-full").FullName;
        try
        {
            var (code, error) = Run(TitanProcess.SmallJob(folder, 2, "--checkpoint.enable", "--checkpoint.no-last_save_model_only"), into);
            Assert.True(code == 0, error);
            Assert.True(Directory.Exists(Path.Combine(folder, "checkpoint", "step-2")));
            Assert.Equal(2, ResumeTests.Losses(folder).Count);
            if (!into.Contains("2>", StringComparison.Ordinal)) Assert.Single(error.Trim().Split('\n'), l => l.Contains("the log cannot be written to standard output", StringComparison.Ordinal));
        }
        finally
        {
            Directory.Delete(folder, true);
        }
    }

    [Theory]
    [InlineData("config", "show")]
    [InlineData("config", "check")]
    [InlineData("plugin", "list")]
    [InlineData("plugin", "list", "--json")]
    [InlineData("plan")]
    [InlineData("estimate")]
    [InlineData("doctor")]
    public void A_command_whose_result_cannot_be_written_says_so_in_one_line(params string[] args)
    {
        var (code, error) = Run(args, ">/dev/full");
        Assert.True(code == (int)ExitCode.RunFailed, $"exit code {code}: {error}");
        Assert.Contains("standard output cannot be written", error, StringComparison.Ordinal);
        Assert.DoesNotContain("should not happen", error, StringComparison.Ordinal);
        Assert.Single(error.Trim().Split('\n'));
    }

    private static (int ExitCode, string Error) Run(string[] args, string into)
    {
        var start = new ProcessStartInfo("/bin/bash", ["-c", $"\"$@\" {into}", "bash", Path.Combine(AppContext.BaseDirectory, "titan"), .. args]) { RedirectStandardError = true };
        using var process = Process.Start(start)!;
        using var limit = TitanProcess.EndInTime(process);
        var error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, error);
    }
}
