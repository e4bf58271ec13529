using System.Text.RegularExpressions;
using Titan.Training.Data;

namespace Titan.Architecture.Tests;

/// <summary>TorchSharp's generators are the CPU's, whatever device they were made for: an operation on a GPU that is given one fails.</summary>
public sealed class RandomNumberTests
{
    private static readonly string Root = Path.GetDirectoryName(SampleAssets.Root)!;

    [Fact]
    public void Generators_are_made_in_one_place_and_for_no_device()
    {
        var makers = Code().SelectMany(c => Regex.Matches(c.Line, @"(?:new (?:torch\.)?Generator|\bGenerator \w+ = new) ?\(([^)]*)\)").Select(m => (c.File, Arguments: m.Groups[1].Value)));
        Assert.Equal(("SeededNumbers.cs", "seed"), Assert.Single(makers));
    }

    [Fact]
    public void Nothing_draws_on_a_device_with_a_generator()
    {
        var draws = Code().Where(c => c.Line.Contains("generator: ", StringComparison.Ordinal)).ToList();
        Assert.NotEmpty(draws);
        Assert.All(draws, d => Assert.DoesNotContain("device: ", d.Line, StringComparison.Ordinal));
    }

    private static IEnumerable<(string File, string Line)> Code() => new[] { "src", "plugins", "eng" }.SelectMany(f => Directory.EnumerateFiles(Path.Combine(Root, f), "*.cs", SearchOption.AllDirectories))
        .SelectMany(file => File.ReadLines(file).Where(l => !l.TrimStart().StartsWith("//", StringComparison.Ordinal)).Select(l => (Path.GetFileName(file), l)));
}
