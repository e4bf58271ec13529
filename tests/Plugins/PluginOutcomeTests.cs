using Titan.Abstractions;
using Titan.Host.Plugins;

namespace Titan.Plugins.Tests;

/// <summary>Thirty plugins in one folder, most of them broken: each gets its own outcome, and the whole ones load.</summary>
public sealed class PluginOutcomeTests(PluginOutcomeTests.EveryFixture every) : IClassFixture<PluginOutcomeTests.EveryFixture>
{
    [Theory]
    [InlineData("ConstructorThrows", PluginStatus.Malfunctioned, "InvalidOperationException: thrown by the constructor", "report it to its author")]
    [InlineData("StaticConstructorThrows", PluginStatus.Malfunctioned, "InvalidOperationException: thrown by the static constructor", "report it to its author")]
    [InlineData("StaticConstructorHangs", PluginStatus.Malfunctioned, "did not finish loading within", "--plugins.disable staticconstructorhangs")]
    [InlineData("ModuleInitialiserHangs", PluginStatus.Malfunctioned, "did not finish loading within", "--plugins.disable moduleinitialiserhangs")]
    [InlineData("DependencyMissingInBaseType", PluginStatus.Malfunctioned, "Could not load file or assembly 'Acme.Dependency", "ship Acme.Dependency.dll")]
    [InlineData("UnsatisfiedImport", PluginStatus.Malfunctioned, "INowhere", "report it to its author")]
    [InlineData("DuplicateExportName", PluginStatus.Malfunctioned, "exports converter acme.duplicate_export_name twice", "report it to its author")]
    [InlineData("ExportMissingFromManifest", PluginStatus.Malfunctioned, "exports converter acme.hidden, which its manifest does not list", "[ExportConverter]")]
    [InlineData("ExportMissingAtRunTime", PluginStatus.Malfunctioned, "does not export converter acme.abstract", "must not be abstract")]
    [InlineData("NewerContract", PluginStatus.Incompatible, "needs contract >=0.9 <0.10, this host has 0.2", "upgrade Titan")]
    [InlineData("MessageThrows", PluginStatus.Malfunctioned, "Silent: (its message cannot be read: InvalidOperationException)", "report it to its author")]
    [InlineData("OptionChanges", PluginStatus.Malfunctioned, "its manifest and its code disagree about option amount of converter acme.option_changes", "report it to its author")]
    [InlineData("OptionsThrow", PluginStatus.Malfunctioned, "InvalidOperationException: thrown by OptionsType", "report it to its author")]
    [InlineData("OptionOfNoKey", PluginStatus.Malfunctioned, "Dated has Since of type DateTime, which is no type of a key", "report it to its author")]
    [InlineData("TakesReservedName", PluginStatus.Malfunctioned, "names that start with 'quantize.' belong to recipe families", "another name")]
    [InlineData("NewtonsoftTwelve", PluginStatus.Active, "", "")]
    [InlineData("NewtonsoftThirteen", PluginStatus.Active, "", "")]
    [InlineData("TrainsAStep", PluginStatus.Active, "", "")]
    [InlineData("DependencyMissingInMethod", PluginStatus.Active, "", "")]
    [InlineData("InvalidIl", PluginStatus.Active, "", "")]
    [InlineData("NeedsNewerGpu", PluginStatus.Active, "", "")]
    public void Each_plugin_gets_its_own_outcome_with_the_real_cause_and_a_next_step(string project, PluginStatus status, string reason, string nextStep)
    {
        var record = (project.EndsWith("Hangs", StringComparison.Ordinal) ? every.Hanging : every.Catalog).Records.Single(r => r.Folder == BuiltFixtures.Folder(project));
        Assert.Contains(reason, record.Reason, StringComparison.Ordinal);
        Assert.Equal(status, record.Status);
        Assert.Contains(nextStep, record.NextStep, StringComparison.Ordinal);
        var line = Assert.Single(PluginReport.Table([record]).Trim().Split('\n'));
        Assert.Contains(reason, line, StringComparison.Ordinal);
    }

    [Fact]
    public void The_host_and_its_own_plugin_survive_all_of_them()
    {
        Assert.Contains(every.Catalog.Exports<IQuantizationRecipe, RecipeMetadata>(), r => r.PluginId == "titan.float8-tensorwise");
        Assert.Contains(every.Catalog.Exports<IModelConverter, ConverterMetadata>(), c => c.PluginId == "trainsastep");
    }

    [Fact]
    public void Two_plugins_see_each_its_own_version_of_a_private_dependency()
    {
        Assert.Equal("\"12.0.0.0\"", Summary("acme.newtonsoft_twelve"));
        Assert.Equal("\"13.0.0.0\"", Summary("acme.newtonsoft_thirteen"));

        string Summary(string name)
        {
            using var model = new TinyModel();
            return every.Converter(name).Convert(new ModelSlots(model), new NoOptions(), EveryFixture.OnCpu).Report.Summary;
        }
    }

    [Fact]
    public void A_private_dependency_that_the_host_has_in_a_newer_version_is_the_plugins_own()
    {
        using var model = new TinyModel();
        Assert.Equal("3.21.9.0", every.Converter("acme.protobuf_older").Convert(new ModelSlots(model), new NoOptions(), EveryFixture.OnCpu).Report.Summary);
    }

    [Fact]
    public void Every_fixture_is_built_and_staged()
    {
        var projects = Directory.EnumerateDirectories(Path.Combine(StagedPlugin.Repository, "tests", "Plugins", "Fixtures")).Select(Path.GetFileName);
        var staged = Directory.EnumerateDirectories(BuiltFixtures.Plugins).Select(Path.GetFileName);
        Assert.Equal(["contractnext", "dependency", "noexportattribute", "shared"], projects.Select(p => p!.ToLowerInvariant()).Except(staged).Order());
    }

    /// <summary>All fixtures, loaded together.</summary>
    public sealed class EveryFixture : IDisposable
    {
        public EveryFixture()
        {
            _ = new BuiltFixtures();
            string[] hang = ["staticconstructorhangs", "moduleinitialiserhangs"];
            // These would take this process with them.
            string[] end = ["moduleinitialiserexits", "constructorexits", "threadthrows", "neverends", "exithandlerthrows", "consolethrows"];
            Hanging = PluginCatalog.Load(PluginOptions.Default with { Path = [BuiltFixtures.Plugins], Allow = hang, LoadLimit = TimeSpan.FromSeconds(1) });
            // The usual limit for the others: a busy machine is no mistake of theirs.
            Catalog = PluginCatalog.Load(PluginOptions.Default with { Path = [BuiltFixtures.Plugins], Disable = [.. hang, .. end] });
        }

        public static ConversionContext OnCpu { get; } = new(DeviceCapability.Cpu, false, new ParallelDimensions(1, 1, 1, 1, 1));

        public PluginCatalog Catalog { get; }

        /// <summary>The two that never finish loading, with a limit that a test can wait for.</summary>
        public PluginCatalog Hanging { get; }

        public IModelConverter Converter(string name) => Catalog.Exports<IModelConverter, ConverterMetadata>().Single(c => c.Metadata.Name == name).Part;

        public void Dispose()
        {
            Catalog.Dispose();
            Hanging.Dispose();
        }
    }
}
