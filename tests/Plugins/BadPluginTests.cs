using Titan.Abstractions;
using Titan.Host.Plugins;

namespace Titan.Plugins.Tests;

/// <summary>Whatever is in a plugin folder, the host lives, says in one line what is wrong and what to do, and the other plugins load.</summary>
public sealed class BadPluginTests
{
    [Fact]
    public void A_whole_plugin_is_active_and_lists_what_it_exports()
    {
        using var plugin = new StagedPlugin();
        var record = plugin.Inspect();
        Assert.Equal(PluginStatus.Active, record.Status);
        Assert.Equal("float8/tensorwise", Assert.Single(record.Exports).Name);
    }

    [Theory]
    [InlineData(PluginStatus.Malfunctioned, "no titan-plugin.json", "no manifest")]
    [InlineData(PluginStatus.Malfunctioned, "line 2", "malformed manifest")]
    [InlineData(PluginStatus.Malfunctioned, "unknown", "unknown key")]
    [InlineData(PluginStatus.Incompatible, "needs contract >=9.0 <10.0, this host has 0.2", "range above")]
    [InlineData(PluginStatus.Malfunctioned, "contract range", "no range")]
    [InlineData(PluginStatus.Unsupported, "is for win-arm64", "other platform")]
    [InlineData(PluginStatus.Modified, "SHA-256", "changed file")]
    [InlineData(PluginStatus.Malfunctioned, "is missing", "missing file")]
    [InlineData(PluginStatus.Malfunctioned, "outside its folder", "path outside")]
    [InlineData(PluginStatus.Malfunctioned, "not a .NET assembly", "text as dll")]
    [InlineData(PluginStatus.Malfunctioned, "not a .NET assembly", "ELF as dll")]
    [InlineData(PluginStatus.Malfunctioned, "not a .NET assembly", "truncated dll")]
    [InlineData(PluginStatus.Malfunctioned, "ships its own TorchSharp.dll", "own TorchSharp")]
    [InlineData(PluginStatus.Malfunctioned, "does not reference Titan.Abstractions", "not a plugin")]
    public void A_damaged_folder_gets_its_status_and_reason(PluginStatus status, string reason, string damage)
    {
        using var plugin = new StagedPlugin();
        Damage(plugin, damage);
        var record = plugin.Inspect();
        Assert.Equal(status, record.Status);
        Assert.Contains(reason, record.Reason, StringComparison.OrdinalIgnoreCase);
        Assert.NotEqual("", record.NextStep);

        // Beside a good one: the table has one line for each, and the good one still loads.
        var catalog = PluginCatalog.Load(new PluginOptions([plugin.Folder], [], []));
        Assert.Contains(catalog.Exports<IQuantizationRecipe, RecipeMetadata>(), r => r.Metadata.Name == "tensorwise");
        Assert.Equal(catalog.Records.Count, PluginReport.Table(catalog.Records).Trim().Split('\n').Length);
    }

    [Fact]
    public void Of_two_versions_the_newer_is_active()
    {
        using var old = new StagedPlugin("same");
        using var young = new StagedPlugin("same");
        old.Change(m => m with { Version = "1.9.0" });
        young.Change(m => m with { Version = "1.10.0" });
        var records = PluginCatalog.Inspect(new PluginOptions([old.Folder, young.Folder], ["titan.float8-tensorwise"], [])).Records;
        Assert.Equal(PluginStatus.Superseded, records.Single(r => r.Folder == old.Folder).Status);
        Assert.Equal(PluginStatus.Active, records.Single(r => r.Folder == young.Folder).Status);
    }

    [Fact]
    public void A_name_that_two_plugins_claim_is_disabled_in_both_until_one_is_chosen()
    {
        using var other = new StagedPlugin("other");
        // The copy exports what the shipped tensorwise plugin exports.
        var clash = PluginCatalog.Inspect(new PluginOptions([other.Folder], [], [])).Records.Where(r => r.Exports.Any(e => e.Name == "float8/tensorwise")).ToList();
        Assert.Equal(2, clash.Count);
        Assert.All(clash, r => Assert.Equal(PluginStatus.Disabled, r.Status));
        Assert.All(clash, r => Assert.Contains("--plugins.disable", r.NextStep, StringComparison.Ordinal));
        var chosen = PluginCatalog.Load(new PluginOptions([other.Folder], ["titan.float8-tensorwise"], []));
        Assert.Equal("other", Assert.Single(chosen.Exports<IQuantizationRecipe, RecipeMetadata>(), r => r.Metadata.Name == "tensorwise").PluginId);
    }

    [Fact]
    public void A_list_of_allowed_plugins_keeps_the_others_out_and_an_unknown_id_is_an_error()
    {
        using var other = new StagedPlugin("other");
        var records = PluginCatalog.Inspect(new PluginOptions([other.Folder], [], ["other"])).Records;
        Assert.All(records.Where(r => r.Id != "other"), r => Assert.Equal(PluginStatus.Untrusted, r.Status));
        Assert.Equal(ExitCode.Plugin, Assert.Throws<TitanException>(() => PluginCatalog.Inspect(new PluginOptions([], ["nobody"], []))).Code);
    }

    private static void Damage(StagedPlugin plugin, string damage)
    {
        var manifest = Path.Combine(plugin.Folder, PluginManifest.FileName);
        switch (damage)
        {
            case "no manifest": File.Delete(manifest); break;
            case "malformed manifest": File.WriteAllText(manifest, "{\n \"id\" 5 }"); break;
            case "unknown key": File.WriteAllText(manifest, File.ReadAllText(manifest).Replace("\"schema\"", "\"unknown\"", StringComparison.Ordinal)); break;
            case "range above": plugin.Change(m => m with { Contract = ">=9.0 <10.0" }); break;
            case "no range": plugin.Change(m => m with { Contract = ">=0.2" }); break;
            case "other platform": plugin.Change(m => m with { Rids = ["win-arm64"] }); break;
            case "changed file": File.AppendAllText(plugin.Assembly, "x"); break;
            case "missing file": File.Delete(plugin.Assembly); break;
            case "path outside": plugin.Change(m => m with { Files = [.. m.Files, new PluginFile("../../etc/passwd", "00")] }); break;
            case "text as dll": File.WriteAllText(plugin.Assembly, "hello"); break;
            case "ELF as dll": File.WriteAllBytes(plugin.Assembly, [0x7f, (byte)'E', (byte)'L', (byte)'F', .. new byte[200]]); break;
            case "truncated dll": File.WriteAllBytes(plugin.Assembly, File.ReadAllBytes(plugin.Assembly)[..300]); break;
            case "own TorchSharp": File.WriteAllText(Path.Combine(plugin.Folder, "TorchSharp.dll"), ""); break;
            case "not a plugin": File.Copy(typeof(CsCheck.Gen).Assembly.Location, plugin.Assembly, true); break;
            default: throw new ArgumentException(damage);
        }

        if (damage is "text as dll" or "ELF as dll" or "truncated dll" or "not a plugin") plugin.Rehash();
    }
}
