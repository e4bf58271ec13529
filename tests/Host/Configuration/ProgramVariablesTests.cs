using System.Text.RegularExpressions;
using Titan.Abstractions;
using Titan.Host.Configuration;
using Titan.Kernels;
using Titan.Training.Data;

namespace Titan.Host.Tests.Configuration;

public sealed partial class ProgramVariablesTests
{
    private static readonly string Root = Path.GetDirectoryName(SampleAssets.Root)!;

    [Fact]
    public void Every_variable_of_ours_in_the_sources_is_in_the_table_and_every_row_is_used()
    {
        var used = Sources().SelectMany(f => Name().Matches(File.ReadAllText(f)).Select(m => (m.Value, File: Path.GetRelativePath(Root, f)))).ToList();
        var known = ProgramVariables.All.Select(v => v.Name).ToList();
        Assert.Equal(known.Count, known.Distinct().Count());
        Assert.Empty(used.Where(u => !known.Contains(u.Value)).Select(u => $"{u.Value} in {u.File}").Distinct());
        // The table itself is no use.
        var elsewhere = used.Where(u => !u.File.EndsWith("ProgramVariables.cs", StringComparison.Ordinal)).Select(u => u.Value).ToHashSet();
        ProgramVariable[] byProperty = [ProgramVariables.Device, ProgramVariables.LibTorch, ProgramVariables.Assets, ProgramVariables.PluginPath, ProgramVariables.Failpoint];
        Assert.Empty(known.Where(k => k.StartsWith("TITAN_", StringComparison.Ordinal)).Except(elsewhere).Except(byProperty.Select(v => v.Name)));
    }

    [Fact]
    public void Nothing_else_reads_a_variable_of_ours() => Assert.DoesNotContain(
        Sources().Where(f => f.EndsWith(".cs", StringComparison.Ordinal) && f.StartsWith(Path.Combine(Root, "src"), StringComparison.Ordinal)),
        f => File.ReadAllText(f).Contains("GetEnvironmentVariable(\"TITAN_", StringComparison.Ordinal));

    [Theory]
    [InlineData("TITAN_DEVICE", "gpu", "expected cpu or cuda")]
    [InlineData("TITAN_NO_BUILD", "yes", "expected 1")]
    [InlineData("TITAN_LAUNCHER_GRACE_SECONDS", "20s", "expected whole seconds")]
    [InlineData("TITAN_LAUNCHER_GRACE_SECONDS", "0", "expected whole seconds")]
    [InlineData("TITAN_FAILPOINT", "before-rename:x", "expected NAME or NAME:K")]
    [InlineData("TITAN_FAILPOINT", "before-rename:0", "expected NAME or NAME:K")]
    [InlineData("TITAN_ASSETS", "/no/such/folder", "there is no such folder")]
    [InlineData("TITAN_LIBTORCH", "/no/such/folder", "there is no such folder")]
    public void A_value_that_a_variable_cannot_have_is_said_before_anything_else(string name, string value, string says)
    {
        var (exit, output) = TitanProcess.RunWith(new() { [name] = value }, "config", "show");
        Assert.Equal((int)ExitCode.Usage, exit);
        Assert.StartsWith($"titan: error: {name} = '{value}': {says}", output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_misspelt_variable_is_noted_and_one_of_others_is_not() =>
        Assert.Equal(["environment variable TITAN_DEVCE is not read; did you mean TITAN_DEVICE?"], MisspeltVariables.Notes(["TITAN_DEVCE", "TITAN_DEVICE", "TITAN_API_SERVICE_HOST", "PATH"]));

    private static IEnumerable<string> Sources() =>
        new[] { "src", "plugins", "tests", "eng", "deploy" }.SelectMany(d => Directory.EnumerateFiles(Path.Combine(Root, d), "*", SearchOption.AllDirectories))
            .Where(f => Path.GetExtension(f) is ".cs" or ".sh" or ".yaml" or ".csproj" or ".targets" or ".props" && !Path.GetRelativePath(Root, f).Split('/').Any(p => p is "bin" or "obj"))
            .Where(f => Path.GetFileName(f) != "ProgramVariablesTests.cs")
            .Concat(new[] { "titan", "run_train.sh", "run_tests.sh", "Directory.Build.props", "Directory.Build.targets" }.Select(f => Path.Combine(Root, f)).Where(File.Exists));

    /// <summary>A whole name: no part of a method's, no macro for a compiler, no pattern.</summary>
    [GeneratedRegex(@"(?<![A-Za-z0-9_]|-D)TITAN_[A-Z][A-Z_]*[A-Z](?![A-Za-z0-9_*])")]
    private static partial Regex Name();
}
