using System.Text.RegularExpressions;
using Titan.Training.Data;

namespace Titan.Architecture.Tests;

/// <summary>Holds docs/walks.md to the sources.</summary>
public sealed partial class WalkTests
{
    private static readonly string Root = Path.GetDirectoryName(SampleAssets.Root)!;

    [GeneratedRegex(@"^\| (\d+) \| (\S+) \| (\w+) \| .+ \|$")]
    private static partial Regex Hop();

    [Theory]
    [InlineData("A token batch", 14)]
    [InlineData("A recipe", 8)]
    [InlineData("A weight shard", 8)]
    [InlineData("A checkpoint's tensor", 8)]
    [InlineData("A config key", 8)]
    public void Each_hop_is_a_member_of_its_file_and_one_of_two_names_the_other(string walk, int most)
    {
        var page = File.ReadAllText(Path.Combine(Root, "docs", "walks.md"));
        var section = page[(page.IndexOf($"\n## {walk}\n", StringComparison.Ordinal) + 4)..].Split("\n## ")[0];
        var hops = section.Split('\n').Select(l => Hop().Match(l)).Where(m => m.Success).Select(m => (Number: m.Groups[1].Value, File: m.Groups[2].Value, Member: m.Groups[3].Value)).ToList();
        Assert.InRange(hops.Count, 3, most);
        Assert.Equal(Enumerable.Range(1, hops.Count).Select(i => $"{i}"), hops.Select(h => h.Number));
        foreach (var (number, file, member) in hops)
            Assert.True(Regex.IsMatch(Text(file), $@"^ *(?:\[.*\] )?(?:(?:public|internal|private|protected)\b.*|[\w<>?,()\[\] ]+ )\b{member}\b(?!\.)", RegexOptions.Multiline), $"{walk}, hop {number}: {file} declares no {member}");
        foreach (var (one, next) in hops.Zip(hops.Skip(1)))
            Assert.True(Names(one, next) || Names(next, one), $"{walk}: neither {one.File} nor {next.File} names the other's member or type");
    }

    private static string Text(string file) => File.ReadAllText(Path.Combine(Root, file));

    /// <summary>Whether a file's code has the other's member, and its type where the member's name alone could be anyone's.</summary>
    private static bool Names((string Number, string File, string Member) one, (string Number, string File, string Member) other)
    {
        var code = string.Join('\n', Text(one.File).Split('\n').Where(l => !l.TrimStart().StartsWith("//", StringComparison.Ordinal)));
        return Regex.IsMatch(code, $@"\b{Path.GetFileNameWithoutExtension(other.File)}\b") || Regex.IsMatch(code, $@"[.?]{other.Member}\b");
    }
}
