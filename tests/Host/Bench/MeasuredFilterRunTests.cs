using System.Diagnostics;

namespace Titan.Host.Tests.Bench;

public sealed class MeasuredFilterRunTests
{
    [Fact]
    public void A_plan_says_what_is_not_measured_until_a_run_has_measured_it()
    {
        var folder = Directory.CreateTempSubdirectory("titan-measured").FullName;
        try
        {
            string[] job =
            [
                "--model.flavor", "cpu_small", "--training.seq_len", "32", "--training.local_batch_size", "2", "--training.steps", "1", "--job.dump_folder", folder,
                "--model.converters", "quantize.linear.float8", "--quantize.linear.float8.filter_fqns", "auto_filter_measured,output", "--compile.enable",
            ];
            Assert.Contains("4 of 4 shapes", Titan("plan", job).Output, StringComparison.Ordinal);
            Assert.False(Directory.Exists(Path.Combine(folder, "titan", "measured")));

            // Whether anything gains depends on the machine: then the run trains, else it ends and says the ratios.
            var (exit, output) = Titan("train", job);
            Assert.True(exit == 0 ? output.Contains(", measured ", StringComparison.Ordinal) : exit == 2 && output.Contains("by auto_filter_measured: 0.", StringComparison.Ordinal), output);
            Assert.Equal(4, Directory.GetFiles(Path.Combine(folder, "titan", "measured")).Length);

            var plan = Titan("plan", job).Output;
            Assert.DoesNotContain("have not been measured", plan, StringComparison.Ordinal);
            Assert.Matches("(, measured |auto_filter_measured: )[0-9.]+x", plan);
            Assert.DoesNotContain("titan: measuring", Titan("train", job).Output, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, true);
        }

        (int Exit, string Output) Titan(string command, string[] job)
        {
            var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "titan"), [command, .. job]) { RedirectStandardOutput = true, RedirectStandardError = true };
            start.Environment["XDG_CACHE_HOME"] = folder;
            using var process = Process.Start(start)!;
            using var limit = TitanProcess.EndInTime(process);
            var error = process.StandardError.ReadToEndAsync();
            var output = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            return (process.ExitCode, output + error.Result);
        }
    }
}
