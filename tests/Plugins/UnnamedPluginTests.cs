namespace Titan.Plugins.Tests;

/// <summary>Every hostile plugin lies in the folder of a job that names none of them.</summary>
public sealed class UnnamedPluginTests : IClassFixture<BuiltFixtures>, IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("titan-unnamed").FullName;

    [Theory]
    [InlineData("Training completed", "train")]
    [InlineData("ok", "config", "check")]
    [InlineData("[acme.option_kinds]", "config", "show")]
    [InlineData("acme.trains_a_step", "plan")]
    // Two plugins that export one axis are both left out, and no other serves it.
    [InlineData("acme.trains_a_step", "plan", "--world", "2", "--plugins.disable", "ownreplication")]
    public void No_code_runs_of_a_plugin_that_the_job_does_not_name(string expected, params string[] command)
    {
        var written = Path.Combine(folder, "written");
        var (code, output) = Processes.Run(Processes.Titan, folder,
        [
            .. command, "--plugins.path", BuiltFixtures.Plugins, "--model.converters", "acme.trains_a_step", "--model.flavor", "cpu_small", "--training.seq_len", "32", "--training.steps", "2",
            "--activation_checkpoint.mode", "none", "--job.dump_folder", folder,
        ], ("TITAN_FIXTURE_WRITES", written));
        Assert.Contains(expected, output, StringComparison.Ordinal);
        Assert.True(code == 0, $"exit code {code}: {output}");
        Assert.False(File.Exists(written));
    }

    [Fact]
    public void A_run_says_which_plugins_it_used_and_no_other()
    {
        var (code, output) = Processes.Run(Processes.Titan, folder,
        [
            "train", "--plugins.path", BuiltFixtures.Folder("TrainsAStep"), "--model.converters", "acme.trains_a_step", "--model.flavor", "cpu_small", "--training.seq_len", "32", "--training.steps", "1",
            "--activation_checkpoint.mode", "none", "--job.dump_folder", folder,
        ]);
        Assert.True(code == 0, output);
        var run = System.Text.Json.JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "run.json"))).RootElement;
        Assert.Equal(["plugin trainsastep"], run.GetProperty("plugins").EnumerateObject().Select(p => p.Name));
    }

    public void Dispose() => Directory.Delete(folder, true);
}
