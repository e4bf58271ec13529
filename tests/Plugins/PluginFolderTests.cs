using System.Text.Json;
using Titan.Abstractions;
using Titan.Host.Plugins;

namespace Titan.Plugins.Tests;

/// <summary>What a plugin's folder may hold, and how it may be named.</summary>
public sealed class PluginFolderTests : IClassFixture<BuiltFixtures>, IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("titan-folder").FullName;

    [Fact]
    public void A_slash_at_the_end_of_a_folders_name_changes_nothing()
    {
        var plugin = BuiltFixtures.Folder("TrainsAStep");
        var (code, output) = Processes.Run(Processes.Titan, folder, ["plugin", "verify", plugin + "/"]);
        Assert.True(code == 0, output);
        Assert.Equal(PluginStatus.Active, PluginInspection.Inspect(plugin + "//", PluginCatalog.Contract).Status);
        // The same folder, by two names.
        Assert.Equal(PluginStatus.Active, Assert.Single(Find(plugin + "/", plugin), r => r.Id == "trainsastep").Status);
        (code, output) = Processes.Run(Processes.Titan, folder, ["plugin", "list"], (Titan.Kernels.ProgramVariables.PluginPath.Name, plugin + "/"));
        Assert.Contains(output.Split('\n'), l => l.StartsWith("trainsastep", StringComparison.Ordinal) && l.Contains("Active", StringComparison.Ordinal));
    }

    [Fact]
    public void Of_several_flags_with_folders_each_counts()
    {
        var (code, output) = Processes.Run(Processes.Titan, folder, ["plugin", "list", "--plugins.path", BuiltFixtures.Folder("TrainsAStep"), "--plugins.path", BuiltFixtures.Folder("OptionKinds")]);
        Assert.True(code == 0, output);
        Assert.Contains("trainsastep", output, StringComparison.Ordinal);
        Assert.Contains("optionkinds", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("TrainsAStep.dll")]
    [InlineData("titan-plugin.json")]
    public void A_file_that_is_a_link_is_not_a_plugins_own(string file)
    {
        var plugin = BuiltFixtures.Changed("TrainsAStep", folder, _ => { });
        var path = Path.Combine(plugin, file);
        var elsewhere = Path.Combine(folder, "elsewhere");
        File.Move(path, elsewhere);
        File.CreateSymbolicLink(path, elsewhere);
        var record = PluginInspection.Inspect(plugin, PluginCatalog.Contract);
        Assert.Equal(PluginStatus.Malfunctioned, record.Status);
        Assert.Contains($"{file}", record.Reason, StringComparison.Ordinal);
        Assert.Contains("it is a link", record.Reason, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/")]
    [InlineData(".")]
    public void A_folder_in_it_that_is_a_link_is_not_followed(string target)
    {
        var plugin = BuiltFixtures.Changed("TrainsAStep", folder, _ => { });
        Directory.CreateSymbolicLink(Path.Combine(plugin, "more"), target);
        var record = PluginInspection.Inspect(plugin, PluginCatalog.Contract);
        Assert.Equal((PluginStatus.Malfunctioned, $"its folder 'more': it is a link (to '{target}')"), (record.Status, record.Reason));
    }

    [Fact]
    public void A_deep_or_wide_tree_is_read_up_to_a_bound_and_has_one_message()
    {
        var plugin = BuiltFixtures.Changed("TrainsAStep", folder, _ => { });
        Directory.CreateDirectory(Path.Combine(plugin, string.Join('/', Enumerable.Repeat("d", 40))));
        Assert.Contains("folders more than 16 deep", PluginInspection.Inspect(plugin, PluginCatalog.Contract).Reason, StringComparison.Ordinal);
        Directory.Delete(Path.Combine(plugin, "d"), true);
        for (var i = 0; i < 10_001; i++) File.WriteAllBytes(Path.Combine(plugin, $"{i}"), []);
        Assert.Equal("its folder holds more than 10,000 files and folders", PluginInspection.Inspect(plugin, PluginCatalog.Contract).Reason);
    }

    [Fact]
    public void A_link_to_the_root_of_the_disk_has_one_message()
    {
        var link = Path.Combine(folder, "root");
        Directory.CreateSymbolicLink(link, "/");
        var record = Assert.Single(Find(link), r => r.Folder.StartsWith(folder, StringComparison.Ordinal));
        Assert.Equal((PluginStatus.Malfunctioned, "the folder has no titan-plugin.json"), (record.Status, record.Reason));
    }

    [Fact]
    public void A_folder_of_far_more_folders_than_plugins_is_an_error()
    {
        for (var i = 0; i < 1001; i++) Directory.CreateDirectory(Path.Combine(folder, $"{i}"));
        var refusal = Assert.Throws<TitanException>(() => Find(folder));
        Assert.Equal((ExitCode.Plugin, $"plugin folder '{folder}' holds more than 1,000 folders; name one that holds plugins"), (refusal.Code, refusal.Message));
    }

    [Theory]
    [InlineData("id", "trainsastep\n")]
    [InlineData("id", "trainsastep\u0000")]
    [InlineData("id", "trains astep")]
    [InlineData("version", "1.0.0\n")]
    [InlineData("version", "1.0.0-")]
    [InlineData("version", "1")]
    [InlineData("version", "99999999999.0.0")]
    [InlineData("contract", ">=0.2 <0.3\n")]
    [InlineData("contract", ">=٠.2 <0.3")]
    public void A_name_ends_where_it_ends(string key, string value)
    {
        var plugin = BuiltFixtures.Changed("TrainsAStep", folder, _ => { });
        Change(plugin, m => key switch { "id" => m with { Id = value }, "version" => m with { Version = value }, _ => m with { Contract = value } });
        var record = PluginInspection.Inspect(plugin, PluginCatalog.Contract);
        Assert.Equal(PluginStatus.Malfunctioned, record.Status);
        Assert.Single(PluginReport.Table([record]).TrimEnd('\n').Split('\n'));
    }

    [Theory]
    [InlineData("converter", "training", "is a config section of the host")]
    [InlineData("converter", "quantize.linear.x", "belong to recipe families")]
    [InlineData("converter", "Acme.Upper", "is not made of lower-case letters")]
    [InlineData("converter", "acme..two", "is not made of lower-case letters")]
    [InlineData("converter", "acme.x\n", "is not made of lower-case letters")]
    [InlineData("recipe", "acme", "with one '/' between family and name")]
    [InlineData("recipe", "acme/two/three", "with one '/' between family and name")]
    [InlineData("parallelism", "Sideways", "is not one of: tp, ")]
    [InlineData("widget", "acme", "a kind that this host does not know; known: recipe, groupedrecipe, converter, parallelism")]
    public void A_name_that_its_kind_cannot_have_is_refused(string kind, string name, string reason)
    {
        // What the attribute in the assembly says counts: it is as long as the name that it had.
        Assert.Contains(reason, ExportCheckOf(new PluginExport(kind, name, "stable", "")), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("\"status\": \"prototype\"", "\"status\": \"stable\"")]
    [InlineData("\"isDefault\": true", "\"isDefault\": false")]
    [InlineData("\"summary\": \"\"", "\"summary\": \"the best\"")]
    public void A_manifest_that_says_other_than_the_assemblys_attributes_is_refused(string text, string wrong)
    {
        var plugin = BuiltFixtures.Changed("Prototype", folder, _ => { });
        var path = Path.Combine(plugin, PluginManifest.FileName);
        var before = File.ReadAllText(path);
        Assert.Contains(text, before, StringComparison.Ordinal);
        File.WriteAllText(path, before.Replace(text, wrong, StringComparison.Ordinal));
        var record = PluginInspection.Inspect(plugin, PluginCatalog.Contract);
        Assert.Equal((PluginStatus.Malfunctioned, "its manifest and 'Prototype.dll' disagree about recipe acme_prototype/one"), (record.Status, record.Reason));
    }

    [Theory]
    [InlineData("0.2.0.0", ">=0.2 <0.3")]
    [InlineData("0.10.0.0", ">=0.10 <0.11")]
    [InlineData("1.0.0.0", ">=1.0 <2.0")]
    [InlineData("2.3.0.0", ">=2.3 <3.0")]
    public void A_plugin_works_with_later_contracts_until_one_that_may_break_it(string built, string range)
    {
        Assert.Equal(range, ContractRange.Of(Version.Parse(built)).ToString());
        Assert.Equal(ContractRange.Of(Version.Parse(built)), ContractRange.Parse(range));
    }

    [Theory]
    [InlineData("1.9.0", "1.10.0")]
    [InlineData("0.1.0-beta.1", "0.1.0")]
    [InlineData("1.0.0-alpha", "1.0.0-alpha.1")]
    [InlineData("1.0.0-alpha.1", "1.0.0-alpha.beta")]
    [InlineData("1.0.0-alpha.beta", "1.0.0-beta")]
    [InlineData("1.0.0-beta.2", "1.0.0-beta.11")]
    [InlineData("1.0.0-rc.1", "1.0.0")]
    [InlineData("1.0.0.1", "1.0.0.2")]
    public void Of_two_versions_the_later_by_semantic_versioning_is_active_whatever_its_folder_is_called(string earlier, string later)
    {
        foreach (var (first, second) in new[] { (earlier, later), (later, earlier) })
        {
            var parent = Directory.CreateTempSubdirectory("titan-versions").FullName;
            try
            {
                string a = BuiltFixtures.Changed("TrainsAStep", Path.Combine(parent, "a"), _ => { }), b = BuiltFixtures.Changed("TrainsAStep", Path.Combine(parent, "b"), _ => { });
                Change(a, m => m with { Version = first });
                Change(b, m => m with { Version = second });
                var records = Find(a, b).Where(r => r.Id == "trainsastep").ToList();
                Assert.Equal(later, Assert.Single(records, r => r.Status == PluginStatus.Active).Version);
                Assert.Equal(earlier, Assert.Single(records, r => r.Status == PluginStatus.Superseded).Version);
            }
            finally
            {
                Directory.Delete(parent, true);
            }
        }
    }

    [Fact]
    public void A_folder_that_takes_the_place_of_a_shipped_plugin_does_not_do_so_without_a_word()
    {
        using var other = new StagedPlugin("titan.float8-tensorwise");
        other.Change(m => m with { Version = "9.0.0" });
        var (code, output) = Processes.Run(Processes.Titan, folder,
        [
            "train", "--plugins.path", other.Folder, "--model.flavor", "cpu_small", "--training.seq_len", "32", "--training.steps", "1", "--job.dump_folder", folder,
        ]);
        Assert.True(code == 0, output);
        Assert.Matches($@"plugin titan\.float8-tensorwise \S+ of this program is not used: version 9\.0\.0 is in {other.Folder}", output);
    }

    public void Dispose() => Directory.Delete(folder, true);

    private static IReadOnlyList<PluginRecord> Find(params string[] paths) => PluginCatalog.Inspect(PluginOptions.Default with { Path = paths }).Records;

    private static void Change(string plugin, Func<PluginManifest, PluginManifest> change)
    {
        var path = Path.Combine(plugin, PluginManifest.FileName);
        File.WriteAllText(path, JsonSerializer.Serialize(change(JsonSerializer.Deserialize<PluginManifest>(File.ReadAllText(path), PluginManifest.Json)!), PluginManifest.Json));
    }

    private static string ExportCheckOf(PluginExport export) => ExportCheck.Fault([export])!.Value.Reason;
}
