using Titan.Abstractions;
using Titan.Host.Plugins;

namespace Titan.Plugins.Tests;

/// <summary>Fixtures that no build would make: patched code, an own copy of the contract, a manifest written by hand.</summary>
public sealed class ChangedPluginTests : IClassFixture<BuiltFixtures>, IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("titan-changed").FullName;

    [Fact]
    public void Invalid_IL_loads_and_is_named_when_it_is_first_called()
    {
        BuiltFixtures.Changed("InvalidIl", folder, f =>
        {
            var path = Path.Combine(f, "InvalidIl.dll");
            var bytes = File.ReadAllBytes(path);
            // ldc.i4 0x7EADBEEF; ret. Becomes pops of an empty stack.
            var body = bytes.AsSpan().IndexOf(new byte[] { 0x20, 0xEF, 0xBE, 0xAD, 0x7E, 0x2A });
            Assert.True(body > 0);
            bytes.AsSpan(body, 5).Fill(0x26);
            File.WriteAllBytes(path, bytes);
        });
        using var catalog = Load();
        Assert.Equal(PluginStatus.Active, catalog.Records.Single(r => r.Id == "invalidil").Status);
        using var model = new TinyModel();
        var converter = catalog.Exports<IModelConverter, ConverterMetadata>().Single(c => c.PluginId == "invalidil").Part;
        var failure = Assert.Throws<InvalidProgramException>(() => converter.Convert(new ModelSlots(model), new NoOptions(), PluginOutcomeTests.EveryFixture.OnCpu));
        Assert.Equal("invalidil", PluginFault.OwnerOf(failure));
    }

    [Theory]
    [InlineData("NewerContract", PluginStatus.Incompatible, "needs contract >=0.9 <0.10")]
    [InlineData("TrainsAStep", PluginStatus.Malfunctioned, "ships its own Titan.Abstractions.dll")]
    public void A_plugin_with_its_own_copy_of_the_contract_is_not_loaded(string project, PluginStatus status, string reason)
    {
        var copy = project == "NewerContract" ? BuiltFixtures.Assembly("ContractNext", "Titan.Abstractions") : typeof(IModelConverter).Assembly.Location;
        BuiltFixtures.Changed(project, folder, f => File.Copy(copy, Path.Combine(f, "Titan.Abstractions.dll")));
        Expect(project, status, reason);
    }

    [Fact]
    public void A_newer_contract_is_found_in_the_assembly_where_the_manifest_hides_it()
    {
        BuiltFixtures.Changed("NewerContract", folder, f => Edit(f, ">=0.9 <0.10", ">=0.2 <0.3"));
        Expect("NewerContract", PluginStatus.Incompatible, "was built against contract 0.9, this host has 0.2");
    }

    [Fact]
    public void A_plugin_loads_with_the_contract_that_it_was_built_for_and_not_with_one_that_may_break_it()
    {
        using var catalog = PluginCatalog.Load(PluginOptions.Default with { Path = [BuiltFixtures.Folder("TrainsAStep")], Contract = new Version(0, 2, 0, 0) });
        Assert.Equal(PluginStatus.Active, catalog.Records.Single(r => r.Id == "trainsastep").Status);
        // Before 1.0 a minor version may break: ContractRange.Of, which its own test holds for later versions.
        foreach (var later in new[] { new Version(0, 3, 0, 0), new Version(1, 0, 0, 0) })
            Assert.Equal(PluginStatus.Incompatible, PluginCatalog.Inspect(PluginOptions.Default with { Path = [BuiltFixtures.Folder("TrainsAStep")], Contract = later }).Records.Single(r => r.Id == "trainsastep").Status);
    }

    [Fact]
    public void A_shortened_assembly_whose_metadata_still_reads_fails_alone()
    {
        BuiltFixtures.Changed("TrainsAStep", folder, f =>
        {
            var path = Path.Combine(f, "TrainsAStep.dll");
            File.WriteAllBytes(path, File.ReadAllBytes(path)[..^600]);
        });
        Expect("TrainsAStep", PluginStatus.Malfunctioned, "BadImageFormatException");
    }

    [Fact]
    public void A_manifest_that_disagrees_with_the_assembly_about_exports_is_refused()
    {
        BuiltFixtures.Changed("TrainsAStep", folder, f => Edit(f, "acme.trains_a_step", "acme.another"));
        Expect("TrainsAStep", PluginStatus.Malfunctioned, "disagree about converter acme.another");
    }

    [Fact]
    public void A_class_without_an_export_attribute_is_refused_by_the_build_and_by_the_host()
    {
        var assembly = BuiltFixtures.Assembly("NoExportAttribute");
        var (code, output) = Processes.Run("dotnet", folder, [BuiltFixtures.ManifestTool, "noexportattribute", "1.0.0", assembly, Path.Combine(folder, "stage"), "/dev/null"]);
        Assert.Equal(1, code);
        Assert.Contains("TITAN001: plugin 'noexportattribute' cannot be staged: it exports nothing; mark a class with [ExportRecipe]", output, StringComparison.Ordinal);

        BuiltFixtures.Changed("TrainsAStep", folder, f =>
        {
            File.Delete(Path.Combine(f, "TrainsAStep.dll"));
            File.Copy(assembly, Path.Combine(f, "NoExportAttribute.dll"));
            Edit(f, "TrainsAStep.dll", "NoExportAttribute.dll");
        });
        Expect("TrainsAStep", PluginStatus.Malfunctioned, "exports nothing");
    }

    [Theory]
    [InlineData("\"id\": \"trainsastep\"", "\"id\": null", "line 3")]
    [InlineData("\"rids\": []", "\"rids\": null", "line 7")]
    [InlineData("\"kind\": \"converter\",", "", "missing")]
    [InlineData("\"files\": [", "\"files\": [ null,", "cannot be inspected")]
    [InlineData("\"version\": \"1.0.0\"", "\"version\": \"one\"", "is not a version")]
    [InlineData("\"id\": \"trainsastep\"", "\"id\": \"Trains A Step\"", "is not made of lower-case letters")]
    [InlineData("\"schema\": 2", "\"schema\": 3", "has format 3, this host reads 2")]
    public void A_manifest_with_a_wrong_value_is_refused(string text, string wrong, string reason)
    {
        var changed = BuiltFixtures.Changed("TrainsAStep", folder, _ => { });
        Edit(changed, text, wrong);
        var record = PluginCatalog.Inspect(PluginOptions.Default with { Path = [folder] }).Records.Single(r => r.Folder == changed);
        Assert.Contains(reason, record.Reason, StringComparison.Ordinal);
        Assert.NotEqual(PluginStatus.Active, record.Status);
        Assert.NotEqual("", record.NextStep);
    }

    [Fact]
    public void A_file_that_the_manifest_does_not_list_is_not_trusted()
    {
        File.WriteAllText(Path.Combine(BuiltFixtures.Changed("TrainsAStep", folder, _ => { }), "libextra.so"), "");
        Expect("TrainsAStep", PluginStatus.Modified, "'libextra.so' is not in its manifest");
    }

    public void Dispose() => Directory.Delete(folder, true);

    private static void Edit(string plugin, string text, string replacement)
    {
        var path = Path.Combine(plugin, PluginManifest.FileName);
        var before = File.ReadAllText(path);
        Assert.Contains(text, before, StringComparison.Ordinal);
        File.WriteAllText(path, before.Replace(text, replacement, StringComparison.Ordinal));
    }

    private PluginCatalog Load() => PluginCatalog.Load(PluginOptions.Default with { Path = [folder] });

    private void Expect(string project, PluginStatus status, string reason)
    {
        using var catalog = Load();
        var record = catalog.Records.Single(r => r.Id == project.ToLowerInvariant());
        Assert.Contains(reason, record.Reason, StringComparison.Ordinal);
        Assert.Equal(status, record.Status);
        Assert.NotEqual("", record.NextStep);
        Assert.Contains(catalog.Exports<IQuantizationRecipe, RecipeMetadata>(), r => r.PluginId == "titan.float8-tensorwise");
    }
}
