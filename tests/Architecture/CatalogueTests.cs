using System.Text.RegularExpressions;
using Titan.Kernels.Cuda;
using Titan.Training.Data;

namespace Titan.Architecture.Tests;

/// <summary>Holds tests/CATALOGUE.md to the tests that there are.</summary>
public sealed partial class CatalogueTests
{
    private static readonly string Root = Path.GetDirectoryName(SampleAssets.Root)!;

    private static readonly IReadOnlyList<string[]> Rows =
    [
        .. File.ReadLines(Path.Combine(Root, "tests", "CATALOGUE.md")).Where(l => l.StartsWith("| ", StringComparison.Ordinal) && !l.StartsWith("| id |", StringComparison.Ordinal) && !l.StartsWith("| kernel |", StringComparison.Ordinal))
            .Select(l => l.Trim('|').Split('|', StringSplitOptions.TrimEntries)),
    ];

    private static readonly Dictionary<string, IReadOnlyList<string>> Sources = [];

    [Fact]
    public void Every_test_that_the_catalogue_names_exists()
    {
        var missing = new List<string>();
        foreach (var row in Rows)
        {
            Assert.True(row.Length == 4, $"{row[0]}: {row.Length} columns; a promise with a vertical bar?");
            foreach (var name in row[2].Split("<br>"))
            {
                var parts = Name().Match(name);
                if (!parts.Success || !Exists(parts.Groups[1].Value, parts.Groups[2].Value, parts.Groups[3].Value)) missing.Add($"{row[0]}: {name}");
            }
        }

        Assert.Empty(missing);
    }

    [Fact]
    public void Every_id_has_a_row_and_so_has_every_kernel()
    {
        var ids = Rows.SelectMany(r => r[0].Split(',', StringSplitOptions.TrimEntries)).Select(id => id.Split(' ')[0]).ToList();
        Assert.Equal(ids.Count, ids.Distinct().Count());
        string[] expected =
        [
            .. Enumerable.Range(1, 26).Select(i => $"B{i}"), "N1", "P1", .. Enumerable.Range(1, 12).Select(i => $"X{i}"), .. Enumerable.Range(1, 11).Select(i => $"11.5.{i}"),
            .. CudaSources.Names, "FusedCasts", "CpuMatmul", .. Directory.EnumerateFiles(Path.Combine(Root, "src", "Kernels", "Fused"), "*.cs").Select(f => Path.GetFileNameWithoutExtension(f)),
        ];
        Assert.Empty(expected.Except(ids));
    }

    [Theory]
    [InlineData("Architecture", "CatalogueTests", "Every_test_that_the_catalogue_names_exists", true)]
    [InlineData("Architecture", "CatalogueTests", "Every_test_that_the_catalogue_names", false)]
    [InlineData("Architecture", "CatalogueTests", "Exists", false)]
    [InlineData("Architecture", "ReferenceTests", "Every_test_that_the_catalogue_names_exists", false)]
    [InlineData("Kernels", "CatalogueTests", "Every_test_that_the_catalogue_names_exists", false)]
    public void A_name_counts_only_with_its_project_its_class_and_as_a_test(string project, string type, string method, bool exists) => Assert.Equal(exists, Exists(project, type, method));

    private static bool Exists(string project, string type, string method)
    {
        if (!Sources.TryGetValue(project, out var sources))
        {
            var folder = Path.Combine(Root, "tests", project);
            Sources[project] = sources = Directory.Exists(folder) ? [.. Directory.EnumerateFiles(folder, "*.cs", SearchOption.AllDirectories).Select(File.ReadAllText)] : [];
        }

        // Attributes, then the method: no statement and no end of a body between them.
        var test = new Regex($@"\[(Fact|Theory)(With\w+)?\b(?:(?!\n    public |\n    private |\n    internal ).)*\n    public (async )?(static )?(void|Task) {Regex.Escape(method)}\(", RegexOptions.Singleline);
        return sources.Any(s => Regex.IsMatch(s, $@"\bclass {Regex.Escape(type)}\b") && test.IsMatch(s));
    }

    [GeneratedRegex(@"^(\w+): (\w+)\.(\w+)$")]
    private static partial Regex Name();
}
