using System.Diagnostics;
using System.Security.Cryptography;
using Titan.Training.Data;

namespace Titan.Architecture.Tests;

/// <summary>What of the contract is released, and that only eng/release/contract.sh says so.</summary>
public sealed class ContractReleaseTests : IDisposable
{
    private const string Header = "#nullable enable";

    private static readonly string Root = Path.GetDirectoryName(SampleAssets.Root)!;

    private readonly string copy = Directory.CreateTempSubdirectory("titan-contract").FullName;

    public ContractReleaseTests()
    {
        foreach (var file in new[] { "eng/release/contract.sh", "eng/release/contract.txt", "src/Abstractions/Titan.Abstractions.csproj" })
        {
            Directory.CreateDirectory(Path.GetDirectoryName(Path.Combine(copy, file))!);
            File.Copy(Path.Combine(Root, file), Path.Combine(copy, file));
        }

        File.WriteAllLines(Path.Combine(copy, "eng/release/contract.txt"), ["# none yet"]);
        Write("Shipped");
    }

    [Fact]
    public void The_released_members_are_those_of_the_last_release()
    {
        var last = File.ReadLines(Path.Combine(Root, "eng/release/contract.txt")).Last();
        var shipped = Path.Combine(Root, "src/Abstractions/PublicAPI.Shipped.txt");
        if (last.StartsWith('#')) Assert.Equal([Header], File.ReadLines(shipped));
        else Assert.Equal(last.Split(' ')[1], Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(shipped))));
    }

    [Fact]
    public void A_release_moves_all_members_sets_the_version_and_is_noted()
    {
        Write("Unshipped", "B.One", "A.Two");
        Assert.Equal(0, Release("0.3.1").Code);
        Assert.Equal([Header, "A.Two", "B.One"], Read("Shipped"));
        Assert.Equal([Header], Read("Unshipped"));
        var project = File.ReadAllText(Path.Combine(copy, "src/Abstractions/Titan.Abstractions.csproj"));
        Assert.Contains("<Version>0.3.1</Version>", project, StringComparison.Ordinal);
        Assert.Contains("<AssemblyVersion>0.3.0.0</AssemblyVersion>", project, StringComparison.Ordinal);
        Assert.StartsWith("0.3.1 ", File.ReadLines(Path.Combine(copy, "eng/release/contract.txt")).Last(), StringComparison.Ordinal);
        Assert.Contains("is not later than 0.3.1", Release("0.3.1").Output, StringComparison.Ordinal);
        Assert.Contains("is not a version", Release("0.4").Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("1.0.0", "1.1.0", false)]
    [InlineData("1.0.0", "2.0.0", true)]
    [InlineData("0.2.0", "0.2.1", false)]
    [InlineData("0.2.0", "0.3.0", true)]
    [InlineData("0.2.0", "1.0.0", true)]
    public void A_released_member_leaves_with_a_version_that_may_break(string first, string second, bool may)
    {
        Write("Unshipped", "A.Stays", "A.Goes");
        Assert.Equal(0, Release(first).Code);
        Write("Unshipped", "*REMOVED*A.Goes", "A.Comes");
        var (code, output) = Release(second);
        Assert.Equal(may ? 0 : 2, code);
        Assert.Equal(may ? ["A.Comes", "A.Stays"] : (string[])["A.Goes", "A.Stays"], Read("Shipped").Skip(1));
        if (!may) Assert.Contains("would take members of " + first + " away: A.Goes", output, StringComparison.Ordinal);
    }

    public void Dispose() => Directory.Delete(copy, true);

    private void Write(string which, params string[] members) => File.WriteAllLines(Path.Combine(copy, $"src/Abstractions/PublicAPI.{which}.txt"), [Header, .. members]);

    private string[] Read(string which) => File.ReadAllLines(Path.Combine(copy, $"src/Abstractions/PublicAPI.{which}.txt"));

    private (int Code, string Output) Release(string version)
    {
        using var script = Process.Start(new ProcessStartInfo("/bin/bash", [Path.Combine(copy, "eng/release/contract.sh"), version]) { RedirectStandardError = true, RedirectStandardOutput = true })!;
        var output = script.StandardOutput.ReadToEnd() + script.StandardError.ReadToEnd();
        script.WaitForExit();
        return (script.ExitCode, output);
    }
}
