using System.Diagnostics;
using Titan.Training.Data;

namespace Titan.Architecture.Tests;

public sealed class ScriptTests
{
    private static readonly string Root = Path.GetDirectoryName(SampleAssets.Root)!;

    public static TheoryData<string> Scripts =>
    [
        .. new[] { "titan", ".ci/run" }.Concat(new[] { "eng", "deploy" }.SelectMany(f => Directory.EnumerateFiles(Path.Combine(Root, f), "*.sh", SearchOption.AllDirectories))
            .Concat(Directory.EnumerateFiles(Root, "*.sh")).Select(f => Path.GetRelativePath(Root, f))),
    ];

    [Theory]
    [MemberData(nameof(Scripts))]
    public void A_script_is_one_that_bash_can_read(string script)
    {
        using var bash = Process.Start(new ProcessStartInfo("/bin/bash", ["-n", Path.Combine(Root, script)]) { RedirectStandardError = true })!;
        var errors = bash.StandardError.ReadToEnd();
        bash.WaitForExit();
        Assert.True(bash.ExitCode == 0, errors);
    }
}
