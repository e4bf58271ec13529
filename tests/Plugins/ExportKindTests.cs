using System.Composition;
using System.Text.Json;
using Titan.Abstractions;
using Titan.Host.Configuration;
using Titan.Host.Jobs;
using Titan.Host.Plugins;
using Titan.Models;

namespace Titan.Plugins.Tests;

/// <summary>The table of kinds of exports, held to the contract.</summary>
public sealed class ExportKindTests
{
    [Fact]
    public void Every_export_attribute_of_the_contract_has_a_row_that_fits_it()
    {
        var attributes = new[] { typeof(ExportStatus), typeof(ExportModelAttribute) }.SelectMany(t => t.Assembly.GetExportedTypes()).Where(t => t.IsAssignableTo(typeof(ExportAttribute))).ToList();
        Assert.Equal(attributes.OrderBy(a => a.Name), ExportKinds.All.Select(k => k.Attribute).OrderBy(a => a.Name));
        foreach (var kind in ExportKinds.All)
        {
            // The build reads the kind from the attribute's name.
            Assert.Equal($"Export{kind.Name}Attribute", kind.Attribute.Name, ignoreCase: true);
            var arguments = kind.Attribute.GetConstructors().Single().GetParameters();
            var made = (ExportAttribute)Activator.CreateInstance(kind.Attribute, [.. arguments.Select(p => p.ParameterType == typeof(string) ? p.Name : Enum.GetValues(p.ParameterType).GetValue(1))])!;
            Assert.Equal(kind.Interface, made.ContractType);
            // What the attribute says, MEF writes into the metadata by the names of the properties.
            Assert.Equal(kind.Attribute.GetProperties().Where(p => p.DeclaringType == kind.Attribute).Select(p => (p.Name, p.PropertyType)).Order(), kind.Metadata.GetProperties().Select(p => (p.Name, p.PropertyType)).Order());
            if (kind.Interface.GetProperty("OptionsType") is not null) Assert.NotNull(kind.Section("acme"));
        }
    }

    [Fact]
    public void A_loaded_export_is_named_as_the_manifest_names_it_and_found_by_its_types()
    {
        using var catalog = PluginCatalog.Load(PluginOptions.Default);
        var named = catalog.Records.Where(r => r.Status == PluginStatus.Active).SelectMany(r => r.Exports).ToList();
        Exported[] loaded = [.. catalog.Exports<IQuantizationRecipe, RecipeMetadata>(), .. catalog.Exports<IModelConverter, ConverterMetadata>(), .. catalog.Exports<IParallelism, ParallelismMetadata>()];
        Assert.Equal(named.Where(e => e.Is(ExportKinds.Recipe) || e.Is(ExportKinds.Converter) || e.Is(ExportKinds.Parallelism)).Select(e => e.Title).Order(), loaded.Select(e => e.Title).Order());
        Assert.Contains(loaded, e => e.Title == "recipe float8/tensorwise");
        Assert.Contains(loaded, e => e is Exported<IParallelism, ParallelismMetadata>);
    }

    [Fact]
    public void A_parallelism_may_have_options_in_the_hosts_section_and_none_that_the_host_has_there()
    {
        var sections = ExportSections.Of([Plugin("one", "own"), Plugin("two", "other"), Plugin("three", "own")]);
        Assert.Equal(["own", "other"], Assert.Single(sections, s => s.Name == "parallelism").Parts.SelectMany(p => p.Options).Select(o => o.Key).Distinct());
        Assert.Null(ExportCheck.Fault(Plugin("one", "own").Exports));
        Assert.Contains("is a key that [parallelism] has without it", ExportCheck.Fault(Plugin("one", "tensor_parallel_degree").Exports)!.Value.Reason, StringComparison.Ordinal);

        static PluginRecord Plugin(string id, string option) => new()
        {
            Id = id,
            Folder = id,
            Exports = [new PluginExport("parallelism", "dp_shard", "stable", "") { Options = [new PluginOption(option, "int32", JsonSerializer.SerializeToElement(1), "")] }],
        };
    }
}
