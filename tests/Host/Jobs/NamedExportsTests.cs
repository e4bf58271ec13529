using Titan.Abstractions;
using Titan.Host.Configuration;
using Titan.Host.Jobs;
using Titan.Host.Plugins;

namespace Titan.Host.Tests.Jobs;

/// <summary>Which exports of which plugins a job names, by their manifests alone.</summary>
public sealed class NamedExportsTests
{
    private static readonly PluginRecord
        Tensorwise = Plugin("tensorwise", Recipe("float8/tensorwise", isDefault: true)),
        Rowwise = Plugin("rowwise", Recipe("float8/rowwise"), Recipe("float8/rowwise_hp")),
        Experts = Plugin("experts", new PluginExport("groupedrecipe", "float8/by_row", "prototype", "") { IsDefault = true }, new PluginExport("groupedrecipe", "float8/other", "prototype", "")),
        Layers = Plugin("layers", new PluginExport("converter", "acme.layers", "stable", ""), new PluginExport("converter", "acme.others", "stable", "")),
        Sharding = Plugin("sharding", new PluginExport("parallelism", "dp_shard", "stable", ""), new PluginExport("parallelism", "tp", "stable", "")),
        Replicas = Plugin("replicas", new PluginExport("parallelism", "dp_replicate", "stable", ""));

    [Theory]
    [InlineData(1, "")]
    [InlineData(1, "", "--quantize.linear.float8.recipe_name", "rowwise")]
    [InlineData(1, "tensorwise", "--model.converters", "quantize.linear.float8")]
    [InlineData(1, "rowwise", "--model.converters", "quantize.linear.float8", "--quantize.linear.float8.recipe_name", "rowwise_hp")]
    [InlineData(1, "layers", "--model.converters", "acme.layers")]
    [InlineData(1, "layers tensorwise", "--model.converters", "acme.layers,quantize.linear.float8")]
    [InlineData(1, "layers", "--model.converters", "acme.layers,acme.others")]
    [InlineData(4, "sharding")]
    [InlineData(4, "replicas", "--parallelism.data_parallel_replicate_degree", "4", "--parallelism.data_parallel_shard_degree", "1")]
    [InlineData(4, "replicas sharding", "--parallelism.data_parallel_replicate_degree", "2")]
    [InlineData(4, "sharding tensorwise", "--parallelism.tensor_parallel_degree", "4", "--model.converters", "quantize.linear.float8")]
    public void A_run_loads_the_plugins_of_its_converters_chosen_recipes_and_parallelisms_and_no_other(int world, string plugins, params string[] job) =>
        Assert.Equal(plugins, string.Join(' ', Of(job).Plugins(world).Select(p => p.Id).Order()));

    [Fact]
    public void The_exports_come_in_the_order_in_which_the_job_names_them() =>
        Assert.Equal(["acme.others", "float8/tensorwise", "acme.layers"], Of("--model.converters", "acme.others,quantize.linear.float8,acme.layers").Converters.Select(e => e.Export.Name));

    [Theory]
    [InlineData(ExitCode.Usage, "model.converters: 'acme.leyers': no loaded plugin has this converter; known: ", "--model.converters", "acme.leyers")]
    [InlineData(ExitCode.Usage, "recipe_name = 'colwise': no loaded plugin has this recipe; known: tensorwise, rowwise, rowwise_hp", "--model.converters", "quantize.linear.float8", "--quantize.linear.float8.recipe_name", "colwise")]
    public void A_name_that_nobody_has_is_an_error_with_what_there_is(ExitCode code, string message, params string[] job)
    {
        var refusal = Assert.Throws<TitanException>(() => Of(job).Converters);
        Assert.Equal(code, refusal.Code);
        Assert.Contains(message, refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_name_of_a_plugin_that_is_not_active_is_an_error_that_says_why()
    {
        PluginRecord[] plugins = [Tensorwise, Off(Rowwise), Off(Layers), Off(Sharding)];
        Expect("model.converters: 'acme.layers' belongs to plugin 'layers', which is Disabled: on purpose; enable it", n => n.Converters, "--model.converters", "acme.layers");
        Expect("quantize.linear.float8.recipe_name = 'rowwise' belongs to plugin 'rowwise', which is Disabled: on purpose; enable it", n => n.Converters, "--model.converters", "quantize.linear.float8", "--quantize.linear.float8.recipe_name", "rowwise");
        Expect("the mesh has 2 ranks along dp_shard, and dp_shard belongs to plugin 'sharding', which is Disabled: on purpose; enable it", n => n.Parallelisms(2));
        Expect("the mesh has 2 ranks along dp_replicate, and no plugin serves dp_replicate; served: none; set parallelism.data_parallel_replicate_degree to 1, or install a plugin", n => n.Parallelisms(2), "--parallelism.data_parallel_replicate_degree", "2");

        void Expect(string message, Func<NamedExports, object> ask, params string[] job)
        {
            var refusal = Assert.Throws<TitanException>(() => ask(Of(plugins, job)));
            Assert.Equal(ExitCode.Plugin, refusal.Code);
            Assert.StartsWith(message, refusal.Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("experts float8/by_row", new string[0])]
    [InlineData("experts float8/other", new[] { "--quantize.grouped_mm.float8.recipe_name", "other" })]
    [InlineData("rowwise float8/rowwise", new[] { "--quantize.grouped_mm.float8.recipe_name", "rowwise" })]
    public void Experts_take_a_recipe_for_experts_or_a_linear_one_of_the_family_by_its_name(string export, string[] job)
    {
        var named = Assert.Single(Of([Tensorwise, Rowwise, Experts], ["--model.converters", "quantize.grouped_mm.float8", .. job]).Converters);
        Assert.Equal(export, $"{named.Plugin.Id} {named.Export.Name}");
    }

    [Fact]
    public void A_recipe_for_experts_that_nobody_has_is_an_error_with_what_there_is()
    {
        var e = Assert.Throws<TitanException>(() => Of([Rowwise, Experts], ["--model.converters", "quantize.grouped_mm.float8", "--quantize.grouped_mm.float8.recipe_name", "colwise"]).Converters);
        Assert.StartsWith("quantize.grouped_mm.float8.recipe_name = 'colwise': no loaded plugin has this recipe; known: by_row, other", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_axis_is_served_by_whatever_plugin_exports_it()
    {
        var contexts = Plugin("contexts", new PluginExport("parallelism", "cp", "stable", ""));
        string[] job = ["--parallelism.context_parallel_degree", "2", "--parallelism.tensor_parallel_degree", "2"];
        Assert.Empty(Problems(contexts, Sharding));
        Assert.Equal(["sharding", "contexts", "sharding"], Of([Sharding, contexts], job).Parallelisms(4).Select(e => e.Plugin.Id));
        Assert.StartsWith("the mesh has 2 ranks along cp, and cp belongs to plugin 'contexts', which is Disabled", Assert.Single(Problems(Off(contexts), Sharding)), StringComparison.Ordinal);
        Assert.StartsWith("the mesh has 2 ranks along tp, and no plugin serves tp; served: cp;", Assert.Single(Problems(contexts)), StringComparison.Ordinal);
        Assert.Equal(2, Problems(Tensorwise).Count);

        IReadOnlyList<string> Problems(params PluginRecord[] plugins)
        {
            var problems = new JobProblems();
            Of(plugins, job).CheckAxes(problems);
            return problems.Texts;
        }
    }

    private static PluginExport Recipe(string name, bool isDefault = false) => new("recipe", name, "stable", "") { IsDefault = isDefault };

    private static PluginRecord Plugin(string id, params PluginExport[] exports) => new() { Id = id, Folder = $"/plugins/{id}", Exports = exports };

    private static PluginRecord Off(PluginRecord plugin) => plugin.As(PluginStatus.Disabled, "on purpose", "enable it");

    private static NamedExports Of(params string[] job) => Of([Tensorwise, Rowwise, Layers, Sharding, Replicas], job);

    private static NamedExports Of(PluginRecord[] plugins, string[] job) => new(plugins, new JobConfigReader(new ConfigSchema(ExportSections.Of(plugins)), ".").Read(job));
}
