using System.Text.Json;
using Titan.Host.Plugins;

namespace Titan.Plugins.Tests;

/// <summary><c>titan plugin list|inspect|verify</c>, in a process of their own.</summary>
public sealed class PluginCommandTests : IClassFixture<BuiltFixtures>, IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("titan-command").FullName;

    [Theory]
    [InlineData("list")]
    [InlineData("inspect", "moduleinitialiserwrites")]
    [InlineData("verify", "FOLDER")]
    public void No_command_runs_code_of_a_plugin_and_each_prints_JSON(string command, string? argument = null)
    {
        var written = Path.Combine(folder, "written");
        var plugin = BuiltFixtures.Folder("ModuleInitialiserWrites");
        string[] arguments = ["plugin", command, "--json", .. argument is null ? Array.Empty<string>() : [argument == "FOLDER" ? plugin : argument], .. command == "verify" ? Array.Empty<string>() : ["--plugins.path", plugin]];
        var (code, output) = Processes.Run(Processes.Titan, folder, arguments, ("TITAN_FIXTURE_WRITES", written));
        Assert.True(code == 0, output);
        using var json = JsonDocument.Parse(output);
        var record = json.RootElement.ValueKind == JsonValueKind.Array ? json.RootElement.EnumerateArray().Single(r => r.GetProperty("id").GetString() == "moduleinitialiserwrites") : json.RootElement;
        Assert.Equal("Active", record.GetProperty("status").GetString());
        Assert.Equal("acme_module_initialiser_writes/one", record.GetProperty("exports")[0].GetProperty("name").GetString());
        Assert.False(File.Exists(written));
    }

    [Fact]
    public void The_same_plugin_does_run_code_when_it_is_loaded()
    {
        var written = Path.Combine(folder, "written");
        Processes.Run(Processes.Titan, folder, ["doctor", "--plugins.path", BuiltFixtures.Folder("ModuleInitialiserWrites")], ("TITAN_FIXTURE_WRITES", written));
        Assert.True(File.Exists(written));
    }

    [Fact]
    public void A_list_with_every_bad_plugin_has_one_line_for_each_and_succeeds()
    {
        var (code, output) = Processes.Run(Processes.Titan, folder, ["plugin", "list", "--plugins.path", BuiltFixtures.Plugins]);
        Assert.True(code == 0, output);
        var shipped = Directory.EnumerateDirectories(Path.Combine(StagedPlugin.Repository, "artifacts", "plugins")).Count();
        var lines = output.Trim().Split('\n');
        Assert.Equal(Directory.EnumerateDirectories(BuiltFixtures.Plugins).Count() + shipped, lines.Length - 1);
        Assert.StartsWith("mesh axes: ", lines[^1], StringComparison.Ordinal);
        Assert.Contains(output.Split('\n'), l => l.StartsWith("newercontract", StringComparison.Ordinal) && l.Contains("upgrade Titan", StringComparison.Ordinal));
    }

    [Fact]
    public void A_list_ends_with_the_axes_that_active_plugins_serve()
    {
        string Axes(params string[] flags) => Processes.Run(Processes.Titan, folder, ["plugin", "list", .. flags]).Output.Trim().Split('\n')[^1];
        Assert.Equal("mesh axes: tp, ep, cp, dp_shard, dp_replicate served; etp, pp not", Axes());
        // Two that export one axis are disabled, with all that they export.
        Assert.Equal("mesh axes: ep, cp served; tp, etp, dp_shard, dp_replicate, pp not", Axes("--plugins.path", BuiltFixtures.Folder("OwnReplication")));
    }

    [Fact]
    public void Verify_returns_the_exit_code_of_a_plugin_problem()
    {
        var (code, output) = Processes.Run(Processes.Titan, folder, ["plugin", "verify", BuiltFixtures.Folder("NewerContract")]);
        Assert.Equal(3, code);
        Assert.Contains(nameof(PluginStatus.Incompatible), output, StringComparison.Ordinal);
    }

    public void Dispose() => Directory.Delete(folder, true);
}
