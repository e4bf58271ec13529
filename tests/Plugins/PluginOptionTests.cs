using System.Text.Json;
using Titan.Abstractions;
using Titan.Host.Jobs;
using Titan.Host.Planning;
using Titan.Host.Plugins;

namespace Titan.Plugins.Tests;

/// <summary>The options of a plugin: known from its manifest, checked before it is loaded, given to it as its own record.</summary>
public sealed class PluginOptionTests : IClassFixture<BuiltFixtures>, IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("titan-options").FullName;

    [Fact]
    public void The_manifest_lists_every_option_with_type_default_and_limits()
    {
        var options = PluginInspection.Inspect(BuiltFixtures.Folder("OptionKinds"), PluginCatalog.Contract).Exports.Single().Options;
        Assert.Equal(
        [
            "switch boolean true", "small int32 3", "large int64 1099511627776", "ratio number 0.25", "single float32 0.1", "choice string \"one\"", "nothing string null", "maybe int32 null",
            "speed enum \"fast\"", "names string[] [\"a\",\"b\"]", "numbers int32[] [1,2]", "ratios number[] [0.5]", "speeds enum[] [\"slow\"]",
        ], options.Select(o => $"{o.Key} {o.Type} {o.Default.GetRawText().Replace(" ", "", StringComparison.Ordinal).ReplaceLineEndings("")}"));
        var small = options.Single(o => o.Key == "small");
        Assert.Equal((1.0, 8.0, "From 1 to 8."), (small.Minimum, small.Maximum, small.Description));
        Assert.Equal(["one", "two"], options.Single(o => o.Key == "choice").Choices);
        Assert.Equal(["slow", "fast"], options.Single(o => o.Key == "speeds").Choices);
        Assert.Equal(["nothing", "maybe"], options.Where(o => o.Optional).Select(o => o.Key));
    }

    [Fact]
    public void Values_of_a_job_file_and_of_flags_arrive_in_the_plugins_own_record()
    {
        var file = Path.Combine(folder, "job.toml");
        File.WriteAllText(file, """
            [acme.option_kinds]
            switch = false
            small = 8
            ratio = 1
            speed = "Slow"
            names = []
            numbers = [3, 4]
            maybe = 5
            """);
        Assert.Equal(
            """{"Switch":false,"Small":8,"Large":7,"Ratio":1,"Single":0.5,"Choice":"two","Nothing":"x","Maybe":5,"Speed":0,"Names":[],"Numbers":[3,4],"Ratios":[0.25,2],"Speeds":[1,0]}""",
            Summary("--job.config_file", file, "--acme.option_kinds.large", "7", "--acme.option_kinds.single", "0.5", "--acme.option_kinds.choice", "two", "--acme.option_kinds.nothing", "x",
                "--acme.option_kinds.ratios", "0.25,2", "--acme.option_kinds.speeds", "Fast,Slow"));
        Assert.Equal("""["a","b"]""", JsonDocument.Parse(Summary()).RootElement.GetProperty("Names").GetRawText());
    }

    [Theory]
    [InlineData("speed", "Quick", "expected one of: slow, fast")]
    [InlineData("speed", "1", "expected one of: slow, fast")]
    [InlineData("speeds", "Fast,Quick", "expected a list of names, each one of: slow, fast")]
    [InlineData("choice", "three", "expected one of: one, two")]
    [InlineData("small", "0", "expected from 1 to 8")]
    [InlineData("small", "9", "expected from 1 to 8")]
    [InlineData("small", "1.5", "expected a whole number")]
    [InlineData("numbers", "1,x", "expected a list of whole numbers")]
    [InlineData("ratios", "1,nan", "expected a list of numbers")]
    public void A_value_that_an_option_does_not_take_is_refused_before_the_plugin_is_loaded(string option, string value, string rule)
    {
        var refusal = Assert.Throws<TitanException>(() => Open($"--acme.option_kinds.{option}", value));
        Assert.Equal(ExitCode.Usage, refusal.Code);
        Assert.Contains($"acme.option_kinds.{option} = ", refusal.Message, StringComparison.Ordinal);
        Assert.Contains(rule, refusal.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("whole", "WholeOptions { Amount = 3, Alike = 1 }")]
    [InlineData("part", "PartOptions { Amount = 0.5, Alike = 2 }")]
    [InlineData("whole", "WholeOptions { Amount = 7, Alike = 1 }", "--quantize.linear.acme_option_of_two_types.amount", "7")]
    [InlineData("part", "PartOptions { Amount = 0.25, Alike = 2 }", "--quantize.linear.acme_option_of_two_types.amount", "0.25")]
    public void Of_an_option_that_two_recipes_of_a_family_have_each_has_its_own_type_and_default(string recipe, string note, params string[] more)
    {
        const string section = "quantize.linear.acme_option_of_two_types";
        var session = JobSession.Open(["--plugins.path", BuiltFixtures.Folder("OptionOfTwoTypes"), "--model.flavor", "cpu_small", "--model.converters", section, $"--{section}.recipe_name", recipe, .. more]);
        var plan = Plan.Of(session.Job.Config, session.Models, session.Converters.Choose(session.Job, session.Schema), []);
        Assert.Contains(note, Assert.Single(plan.Reports).Notes);
    }

    [Fact]
    public void A_value_of_the_other_recipes_type_is_refused()
    {
        const string section = "quantize.linear.acme_option_of_two_types";
        var refusal = Assert.Throws<TitanException>(() => JobSession.Open(["--plugins.path", BuiltFixtures.Folder("OptionOfTwoTypes"), "--model.converters", section, $"--{section}.amount", "0.5"]));
        Assert.Contains($"{section}.amount = \"0.5\": expected a whole number", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Config_show_prints_options_that_read_back_to_the_same_job()
    {
        string[] job = ["--plugins.path", BuiltFixtures.Folder("OptionKinds"), "--acme.option_kinds.speeds", "Fast,Slow", "--acme.option_kinds.ratios", "1,2.5"];
        var (code, shown) = Processes.Run(Processes.Titan, folder, ["config", "show", .. job]);
        Assert.True(code == 0, shown);
        Assert.Contains("speeds = [\"fast\", \"slow\"]", shown, StringComparison.Ordinal);
        Assert.Contains("numbers = [1, 2]", shown, StringComparison.Ordinal);
        Assert.Contains("ratios = [1.0, 2.5]", shown, StringComparison.Ordinal);
        var file = Path.Combine(folder, "shown.toml");
        File.WriteAllText(file, shown);
        var again = JobSession.Open(["--job.config_file", file]).Job.Options[("acme.option_kinds", null)];
        Assert.Equal(JsonSerializer.Serialize(JobSession.Open(job).Job.Options[("acme.option_kinds", null)]), JsonSerializer.Serialize(again));
    }

    [Theory]
    [InlineData("public System.DateTime When { get; init; }", "Options has When of type DateTime, which is no type of a key; a key may be bool, int,")]
    [InlineData("public double Limit { get; init; } = double.PositiveInfinity;", "its option Limit cannot be used: its default \"Infinity\" is not of its type number")]
    [InlineData("public string Text { get; init; } = null!;", "its option Text cannot be used: its default null is not of its type string")]
    [InlineData("public int Ä { get; init; }", "is not made of lower-case letters")]
    public void An_option_that_no_job_could_set_is_refused_by_the_build(string property, string reason)
    {
        Assert.Contains("TITAN001", Built(property), StringComparison.Ordinal);
        Assert.Contains(reason, Built(property), StringComparison.Ordinal);
    }

    public void Dispose() => Directory.Delete(folder, true);

    private static JobSession Open(params string[] more) =>
        JobSession.Open(["--plugins.path", BuiltFixtures.Folder("OptionKinds"), "--model.flavor", "cpu_small", "--model.converters", "acme.option_kinds", .. more]);

    private static string Summary(params string[] more)
    {
        var session = Open(more);
        return Assert.Single(Plan.Of(session.Job.Config, session.Models, session.Converters.Choose(session.Job, session.Schema), []).Reports).Summary;
    }

    /// <summary>The output of the build of a plugin with an option like this.</summary>
    private string Built(string property)
    {
        var project = Directory.CreateDirectory(Path.Combine(folder, "Built")).FullName;
        File.WriteAllText(Path.Combine(project, "Plugin.cs"), $$"""
            using Titan.Abstractions;
            [ExportConverter("acme.built")]
            public sealed class Plugin : IModelConverter
            {
                public System.Type OptionsType => typeof(Options);
                public IModelConversion Convert(ModelSlots model, object options, ConversionContext context) => throw new System.NotSupportedException();
            }
            public sealed record Options { {{property}} }
            """);
        File.WriteAllText(Path.Combine(project, "Built.csproj"), $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <TargetFramework>net10.0</TargetFramework>
                <EnableDynamicLoading>true</EnableDynamicLoading>
                <TitanPluginManifestTool>{BuiltFixtures.ManifestTool}</TitanPluginManifestTool>
              </PropertyGroup>
              <ItemGroup>
                <Reference Include="{typeof(IModelConverter).Assembly.Location}" Private="false" />
                <Reference Include="{typeof(TorchSharp.torch).Assembly.Location}" Private="false" />
                <Reference Include="{typeof(System.Composition.ExportAttribute).Assembly.Location}" Private="false" />
              </ItemGroup>
              <Import Project="{StagedPlugin.Repository}/src/Abstractions/Titan.Abstractions.targets" />
            </Project>
            """);
        var (code, output) = Processes.Run("dotnet", project, ["build", "-c", "Release", "--nologo"]);
        Assert.NotEqual(0, code);
        return output;
    }
}
