using System.Text.RegularExpressions;
using Titan.Training.Data;

namespace Titan.Architecture.Tests;

/// <summary>Holds CONTRIBUTING.md to the files that there are.</summary>
public sealed partial class ContributingTests
{
    private static readonly string Root = Path.GetDirectoryName(SampleAssets.Root)!;

    private static readonly string Page = File.ReadAllText(Path.Combine(Root, "CONTRIBUTING.md"));

    [GeneratedRegex(@"`([\w.]+(?:/[\w.*]+)+)`")]
    private static partial Regex Paths();

    [Fact]
    public void Every_file_that_it_names_exists()
    {
        var named = Paths().Matches(Page).Select(m => m.Groups[1].Value).ToList();
        Assert.True(named.Count > 30, $"{named.Count}");
        // NAME is the reader's: then its folder is there.
        var missing = named.Where(p => p.Contains("NAME", StringComparison.Ordinal) ? !Directory.Exists(Path.Combine(Root, Path.GetDirectoryName(p)!)) : !Path.Exists(Path.Combine(Root, p)));
        Assert.Empty(missing);
    }

    [Fact]
    public void The_picture_has_every_project_and_each_reference()
    {
        var drawn = Regex.Matches(Page, """^  (?<from>\w+)(\["(?<folder>[\w/*]+)<br>.*"\])?(?: --> (?<to>\w+))?$""", RegexOptions.Multiline);
        var projects = Directory.EnumerateFiles(Path.Combine(Root, "src"), "*.csproj", SearchOption.AllDirectories).ToList();
        Assert.Equal(projects.Select(p => Path.GetFileName(Path.GetDirectoryName(p))!).Order(), drawn.Select(m => m.Groups["folder"].Value).Where(f => f.StartsWith("src/", StringComparison.Ordinal)).Select(f => f[4..]).Order());
        var references = projects.SelectMany(p => Regex.Matches(File.ReadAllText(p), """<ProjectReference Include="\.\./(\w+)/[\w.]+" />""").Select(m => (Path.GetFileName(Path.GetDirectoryName(p))!, m.Groups[1].Value)));
        Assert.Equal(references.Order(), drawn.Where(m => m.Groups["to"].Success && m.Groups["from"].Value != "plugins").Select(m => (m.Groups["from"].Value, m.Groups["to"].Value)).Order());
    }
}
