using System.Text.RegularExpressions;
using Titan.Training.Data;

namespace Titan.Architecture.Tests;

/// <summary>A machine with the SDK alone skips, by name, what it lacks the tools for; it fails nothing.</summary>
public sealed partial class ToolTests
{
    private static readonly string Folder = Path.Combine(Path.GetDirectoryName(SampleAssets.Root)!, "tests");

    [GeneratedRegex(@"^    \[(?=Fact|Theory)", RegexOptions.Multiline)]
    private static partial Regex Test();

    [GeneratedRegex(@"class \w+\((NativeBuild|FakeNccl) \w+\)")]
    private static partial Regex NeedsTools();

    [GeneratedRegex(@"NativeBuild\.|new RankJob\b|RankJob\.Train|RankLauncher\.(OpenMpi|Mpich)\b")]
    private static partial Regex Starts();

    [GeneratedRegex(@"public (?:async )?(?:static )?(?:void|Task) (\w+)\(")]
    private static partial Regex Name();

    [Fact]
    public void Tests_that_build_with_gpp_or_start_ranks_say_which_tools_they_need()
    {
        var silent = new List<string>();
        foreach (var file in Directory.EnumerateFiles(Folder, "*Tests.cs", SearchOption.AllDirectories).Where(f => !f.EndsWith($"{nameof(ToolTests)}.cs", StringComparison.Ordinal)))
        {
            var text = File.ReadAllText(file);
            // The class itself: what a fixture or a field builds, each of its tests needs.
            var needsTools = NeedsTools().IsMatch(text) || Starts().IsMatch(Test().Split(text)[0]);
            // A test with its attributes: from the first of them to the next test.
            foreach (var test in Test().Split(text).Skip(1).Where(t => t.StartsWith("Fact]", StringComparison.Ordinal) || t.StartsWith("Theory]", StringComparison.Ordinal)))
                if (needsTools || Starts().IsMatch(test)) silent.Add($"{Path.GetFileName(file)}: {Name().Match(test).Groups[1].Value}");
        }

        Assert.True(silent.Count == 0, $"use [FactWithTools(...)] or [TheoryWithTools(...)] for {string.Join(", ", silent)}");
    }
}
