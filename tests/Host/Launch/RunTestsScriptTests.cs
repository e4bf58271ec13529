using System.Diagnostics;

namespace Titan.Host.Tests.Launch;

/// <summary>run_tests.sh in a folder of its own, with stand-ins for dotnet and apt-get: what it installs, and how it counts.</summary>
public sealed class RunTestsScriptTests : IDisposable
{
    private static readonly string[] Installable = ["g++", "mpirun.openmpi", "mpiexec.mpich", "pgrep"];
    private readonly string folder = Directory.CreateTempSubdirectory("titan-run-tests-").FullName;
    private readonly Dictionary<string, string> environment = [];

    public RunTestsScriptTests()
    {
        File.Copy(Path.Combine(Path.GetDirectoryName(Titan.Training.Data.SampleAssets.Root)!, "run_tests.sh"), Path.Combine(folder, "run_tests.sh"));
        foreach (var tool in new[]
            { "bash", "env", "dirname", "basename", "rm", "mkdir", "cat", "cp", "touch", "timeout", "grep", "tr", "sed", "cut", "sleep", "tee", "wc", "sort", "awk", "tail", "chmod" })
            File.CreateSymbolicLink(Path.Combine(Bin, tool), new[] { "/usr/bin", "/bin" }.Select(d => Path.Combine(d, tool)).First(File.Exists));
        // A project's results are the file beside it.
        Program("dotnet", "[ \"$1\" = test ] || exit 0\nname=$(basename \"$2\" .csproj)\ncp \"$(dirname \"$2\")/results.trx\" artifacts/test-results/$name.trx\necho output of $name");
        Program("id", "echo 0");
    }

    private string Bin => Directory.CreateDirectory(Path.Combine(folder, "bin")).FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public void What_is_missing_is_installed_and_named_before_the_build()
    {
        Program("apt-get", "echo \"$*\" >>calls\n[ \"$1\" != install ] && exit\nfor tool in g++ mpirun.openmpi mpiexec.mpich pgrep; do echo >bin/$tool; chmod +x bin/$tool; done");
        Project("A", ("One", "Passed", null));
        var (code, output) = Run();
        Assert.Equal(0, code);
        Assert.Contains("run_tests.sh: installs with apt-get: g++ openmpi-bin mpich procps\n", output, StringComparison.Ordinal);
        Assert.EndsWith("\n1 passed, 0 failed\n", output, StringComparison.Ordinal);
        Assert.EndsWith("install -y --no-install-recommends g++ openmpi-bin mpich procps\n", File.ReadAllText(Path.Combine(folder, "calls")), StringComparison.Ordinal);
        // The second run finds all of it.
        Assert.DoesNotContain("apt-get", Run().Output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_package_that_cannot_be_had_does_not_take_the_others_along_and_is_named_with_apts_error()
    {
        Program("apt-get", "[ \"$1\" != install ] && exit\ncase \"$*\" in *mpich*) echo 'E: Unable to locate package mpich' >&2; exit 100 ;; esac\n" +
            "for tool in g++:g++ mpirun.openmpi:openmpi-bin pgrep:procps; do case \"$*\" in *${tool#*:}) echo >bin/${tool%:*}; chmod +x bin/${tool%:*} ;; esac; done");
        Project("A", ("One", "Passed", null));
        var (code, output) = Run();
        Assert.Equal(0, code);
        Assert.Contains("apt-get could not install mpich: E: Unable to locate package mpich. The tests that need them are skipped", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("no apt-get", "there is no apt-get here")]
    [InlineData("no root", "this is not root")]
    [InlineData("not asked", "TITAN_INSTALL=0")]
    public void Where_nothing_can_be_installed_the_reason_is_given_and_the_tests_run(string machine, string reason)
    {
        if (machine != "no apt-get") Program("apt-get", "echo called >calls");
        if (machine == "no root") Program("id", "echo 1000");
        if (machine == "not asked") environment["TITAN_INSTALL"] = "0";
        Project("A", ("One", "Passed", null));
        var (code, output) = Run();
        Assert.Equal(0, code);
        Assert.Contains($"run_tests.sh: not installed, since {reason}: g++ openmpi-bin mpich procps.", output, StringComparison.Ordinal);
        Assert.False(File.Exists(Path.Combine(folder, "calls")));
        Assert.EndsWith("\n1 passed, 0 failed\n", output, StringComparison.Ordinal);
    }

    [Fact]
    public void Skipped_tests_are_counted_apart_and_listed_under_their_reasons()
    {
        Have(Installable);
        Project("A", ("T.One", "Passed", null), ("T.Two(ranks: 1)", "NotExecuted", "no &quot;g++&quot; &amp; no MPI"), ("T.Two(ranks: 2)", "NotExecuted", "no &quot;g++&quot; &amp; no MPI"));
        Project("B", ("T.Three", "Passed", null), ("T.Four", "NotExecuted", "no &quot;g++&quot; &amp; no MPI"), ("T.Five", "NotExecuted", "no GPU"));
        var (code, output) = Run();
        Assert.Equal(0, code);
        Assert.EndsWith("\nskipped: no \"g++\" & no MPI\n  T.Four\n  T.Two\nskipped: no GPU\n  T.Five\n2 passed, 0 failed, 4 skipped\n", output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_failed_test_is_a_failure_beside_skipped_ones()
    {
        Have(Installable);
        Project("A", ("T.One", "Passed", null), ("T.Two", "NotExecuted", "no GPU"), ("T.Three", "Failed", "wrong"));
        var (code, output) = Run();
        Assert.Equal(1, code);
        Assert.EndsWith("skipped: no GPU\n  T.Two\n1 passed, 1 failed, 1 skipped\n", output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_project_without_results_is_a_failure_and_so_are_skipped_tests_alone()
    {
        Have(Installable);
        Project("A", ("T.One", "NotExecuted", "no GPU"));
        var (alone, _) = Run();
        Assert.Equal(1, alone);
        Directory.CreateDirectory(Path.Combine(folder, "tests", "B"));
        File.WriteAllText(Path.Combine(folder, "tests", "B", "B.Tests.csproj"), "");
        var (code, output) = Run();
        Assert.Equal(1, code);
        Assert.Contains("no results from B.Tests: its process died", output, StringComparison.Ordinal);
        Assert.EndsWith("0 passed, 1 failed, 1 skipped\n", output, StringComparison.Ordinal);
    }

    [Fact]
    public void Help_says_what_quick_leaves_out_and_runs_nothing()
    {
        Project("A", ("One", "Passed", null));
        var (code, output) = Run("--help");
        Assert.Equal(0, code);
        Assert.Contains("--quick", output, StringComparison.Ordinal);
        Assert.Contains(".Signals. .Ranks.", output, StringComparison.Ordinal);
        Assert.DoesNotContain("passed,", output.Split('\n')[^2], StringComparison.Ordinal);
        Assert.False(Directory.Exists(Path.Combine(folder, "artifacts")));
    }

    [Fact]
    public void Quick_runs_every_project_with_its_filter_and_installs_nothing()
    {
        Program("apt-get", "echo called >calls");
        Program("dotnet", "[ \"$1\" = test ] || exit 0\nname=$(basename \"$2\" .csproj)\necho \"$name $*\" >>arguments\ncp \"$(dirname \"$2\")/results.trx\" artifacts/test-results/$name.trx");
        Project("A", ("One", "Passed", null));
        Project("Host", ("Two", "Passed", null));
        var (code, output) = Run("--quick", "--nologo");
        Assert.Equal(0, code);
        Assert.EndsWith("2 passed, 0 failed\n", output, StringComparison.Ordinal);
        var started = File.ReadAllLines(Path.Combine(folder, "arguments"));
        Assert.Equal(["A.Tests", "Host.Tests"], started.Select(a => a.Split(' ')[0]).Order());
        Assert.All(started, a => Assert.Contains("--nologo --filter FullyQualifiedName!~.Cuda.&FullyQualifiedName!~.Signals.&", a, StringComparison.Ordinal));
        Assert.False(File.Exists(Path.Combine(folder, "calls")));
        var (usage, refusal) = Run("--quick", "--filter", "Name=x");
        Assert.Equal(2, usage);
        Assert.Contains("give --quick or --filter", refusal, StringComparison.Ordinal);
    }

    [Fact]
    public void Projects_that_start_ranks_run_alone_and_the_others_two_at_a_time()
    {
        Have(Installable);
        Program("dotnet", "[ \"$1\" = test ] || exit 0\nname=$(basename \"$2\" .csproj)\necho \"+ $name\" >>order\nsleep 0.2\necho \"- $name\" >>order\ncp \"$(dirname \"$2\")/results.trx\" artifacts/test-results/$name.trx");
        foreach (var project in new[] { "A", "B", "C", "D", "Distributed", "Host", "Plugins" }) Project(project, ("One", "Passed", null));
        Assert.EndsWith("7 passed, 0 failed\n", Run().Output, StringComparison.Ordinal);
        var order = File.ReadAllLines(Path.Combine(folder, "order"));
        Assert.Equal(["+ Distributed.Tests", "- Distributed.Tests", "+ Host.Tests", "- Host.Tests", "+ Plugins.Tests", "- Plugins.Tests"], order[..6]);
        var running = 0;
        Assert.InRange(order[6..].Max(line => running += line[0] == '+' ? 1 : -1), 1, 2);
    }

    [Fact]
    public void What_quick_leaves_out_and_what_runs_alone_exists()
    {
        var root = Path.GetDirectoryName(Titan.Training.Data.SampleAssets.Root)!;
        var script = File.ReadAllLines(Path.Combine(root, "run_tests.sh"));
        foreach (var name in Words("alone=")) Assert.True(Directory.Exists(Path.Combine(root, "tests", name)), name);
        var files = Directory.EnumerateFiles(Path.Combine(root, "tests"), "*.cs", SearchOption.AllDirectories).Select(f => Path.GetRelativePath(Path.Combine(root, "tests"), f).Replace('/', '.')).ToList();
        Assert.All(Words("left_out="), part => Assert.Contains(files, f => f.Contains(part, StringComparison.Ordinal)));

        string[] Words(string variable) => script.Single(l => l.StartsWith(variable, StringComparison.Ordinal))[variable.Length..].Trim('"').Split(' ');
    }

    private void Have(params string[] tools)
    {
        foreach (var tool in tools) Program(tool, "");
    }

    /// <summary>A test project whose results are these; as VSTest writes them, with the skipped ones in the total alone.</summary>
    private void Project(string name, params (string Test, string Outcome, string? Message)[] results)
    {
        var project = Directory.CreateDirectory(Path.Combine(folder, "tests", name)).FullName;
        File.WriteAllText(Path.Combine(project, $"{name}.Tests.csproj"), "");
        int Count(string outcome) => results.Count(r => r.Outcome == outcome);
        var rows = results.Select(r => $"    <UnitTestResult executionId=\"1\" testName=\"{r.Test}\" computerName=\"c\" outcome=\"{r.Outcome}\">\n" +
            (r.Message is null ? "" : $"      <Output>\n        <ErrorInfo>\n          <Message>{r.Message}</Message>\n        </ErrorInfo>\n      </Output>\n") + "    </UnitTestResult>\n");
        File.WriteAllText(Path.Combine(project, "results.trx"),
            $"<TestRun>\n  <Results>\n{string.Concat(rows)}  </Results>\n  <ResultSummary outcome=\"Completed\">\n    <Counters total=\"{results.Length}\" executed=\"{Count("Passed") + Count("Failed")}\" " +
            $"passed=\"{Count("Passed")}\" failed=\"{Count("Failed")}\" error=\"0\" notExecuted=\"0\" />\n  </ResultSummary>\n</TestRun>\n");
    }

    private void Program(string name, string body)
    {
        var path = Path.Combine(Bin, name);
        File.Delete(path);
        File.WriteAllText(path, $"#!/bin/bash\n{body}\n");
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    private (int ExitCode, string Output) Run(params string[] arguments)
    {
        var start = new ProcessStartInfo("/bin/bash", [Path.Combine(folder, "run_tests.sh"), .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["PATH"] = Bin;
        start.Environment.Remove("TITAN_INSTALL");
        foreach (var (name, value) in environment) start.Environment[name] = value;
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output + error.Result);
    }
}
