using Titan.Abstractions;
using Titan.Host.Configuration;
using Titan.Host.Plugins;
using Titan.Quantization.Conversion;
using Titan.Quantization.Matmuls;
using Titan.Quantization.Measurement;
using Titan.Training.Loop;
using Titan.Training.Models;
using static TorchSharp.torch;

namespace Titan.Host.Jobs;

/// <summary>The converters that the loaded plugins give: one per recipe family, and those that are exported as such. Knows their config sections.</summary>
public sealed class ConverterSet
{
    private readonly PluginCatalog catalog;
    private readonly Dictionary<string, (IModelConverter Converter, List<Exported<IQuantizationRecipe, RecipeMetadata>> Recipes)> converters = new(StringComparer.Ordinal);

    /// <summary>Makes the converters.</summary>
    public ConverterSet(PluginCatalog catalog, MatmulCounter counter, IProcessGroup world)
    {
        this.catalog = catalog;
        // Chosen when something is to be measured: most commands need no device, and must not fail for want of one.
        var device = new Lazy<Device>(() => TrainingDevice.Choose().Device);
        var cached = new CachedMeasurer(new LayerMeasurer(TimeProvider.System, () => device.Value), CachedMeasurer.DefaultFolder, () => Hardware.On(device.Value).Measured, text => Console.Error.WriteLine($"titan: {text}"));
        var measurer = new AgreedMeasurer(cached, world);
        foreach (var family in catalog.Recipes.GroupBy(r => r.Metadata.Family))
        {
            var recipes = family.ToList();
            var converter = new QuantizeLinearConverter(family.Key, [.. recipes.Select(r => (r.Metadata, r.Part))], counter, measurer);
            converters[converter.Name] = (converter, recipes);
        }

        foreach (var exported in catalog.Converters) converters[exported.Metadata.Name] = (exported.Part, []);
    }

    /// <summary>The converters' names.</summary>
    public IEnumerable<string> Names => converters.Keys;

    /// <summary>The config sections that exist because of them.</summary>
    public IReadOnlyList<PluginSection> Sections => [.. converters.Select(c => new PluginSection(c.Key, c.Value.Converter is QuantizeLinearConverter
        ? [new PluginSectionPart(null, typeof(QuantizeLinearOptions)), .. c.Value.Recipes.Select(r => new PluginSectionPart(r.Metadata.Name, r.Part.OptionsType))]
        : [new PluginSectionPart(null, c.Value.Converter.OptionsType)]))];

    /// <summary>The converters of <c>model.converters</c>, in order, with their options.</summary>
    /// <exception cref="TitanException">When a name is unknown, families are mixed, or an option belongs to another recipe.</exception>
    public IReadOnlyList<(string Name, IModelConverter Converter, object Options)> Choose(LoadedJob job, ConfigSchema schema)
    {
        var names = job.Config.Model.Converters;
        if (names.GroupBy(n => n).FirstOrDefault(g => g.Count() > 1) is { } twice) throw new TitanException(ExitCode.Usage, $"model.converters names '{twice.Key}' twice");
        var families = names.Where(n => n.StartsWith("quantize.", StringComparison.Ordinal)).Select(n => n.Split('.')[^1]).Distinct().ToList();
        if (families.Count > 1)
            throw new TitanException(ExitCode.Usage, $"model.converters: cannot combine different quantization types: {string.Join(" and ", families)}; keep one");
        foreach (var (fullName, origin) in job.Origins)
        {
            // A job file may hold the section of a converter that it does not use, as upstream's do; a flag is meant.
            if (origin != CommandLineSource.Origin || schema.Find(fullName) is not [var key, ..] || !converters.ContainsKey(key.Section) || names.Contains(key.Section)) continue;
            throw new TitanException(ExitCode.Usage,
                $"--{fullName} has no effect: model.converters does not list {key.Section}; add --model.converters {string.Join(',', names.Append(key.Section))}, or drop the flag");
        }

        return [.. names.Select(n => Choose(n, job, schema))];
    }

    private (string Name, IModelConverter Converter, object Options) Choose(string name, LoadedJob job, ConfigSchema schema)
    {
        if (!converters.TryGetValue(name, out var found))
        {
            // Its owner may be here and broken: then that is what to say.
            if (catalog.Records.FirstOrDefault(r => r.Status != PluginStatus.Active && r.Exports.Any(e => NameOf(e) == name)) is { } owner)
                throw new TitanException(ExitCode.Plugin, $"model.converters: '{name}' belongs to plugin '{owner.Id}', which is {owner.Status}: {owner.Reason}; {owner.NextStep}");
            var broken = catalog.Records.Where(r => r.Status != PluginStatus.Active).Select(r => r.Id).ToList();
            throw new TitanException(ExitCode.Usage,
                $"model.converters: '{name}': no loaded plugin has this converter; known: {string.Join(", ", Names)}{Nearest.Hint(name, Names)}" +
                (broken.Count > 0 ? $"; not active: {string.Join(", ", broken)} ('titan plugin list' says why)" : ""));
        }

        var records = job.Config.PluginSections[name];
        if (found.Converter is not QuantizeLinearConverter quantize) return (name, found.Converter, records[0]);
        var own = (QuantizeLinearOptions)records[0];
        var chosen = quantize.Choose(own.RecipeName).Metadata.Name;
        foreach (var (fullName, origin) in job.Origins)
        {
            var keys = schema.Find(fullName);
            if (keys.Count == 0 || keys[0].Section != name || keys.Any(k => k.Owner is null || k.Owner == chosen)) continue;
            // A job file may spell out a default: that asks for nothing.
            if (KeyType.Same(job.Values[fullName], keys[0].Default)) continue;
            throw new TitanException(ExitCode.Usage, $"{origin}: {fullName} belongs to recipe {string.Join(", ", keys.Select(k => k.Owner))}, but the job uses recipe {chosen}; remove it or set recipe_name");
        }

        return (name, quantize, new QuantizeOptions(own, found.Recipes.Select((r, i) => (r.Metadata.Name, Options: records[i + 1])).ToDictionary(r => r.Name, r => r.Options)));
    }

    private static string? NameOf(PluginExport export) => export.Kind switch
    {
        "recipe" => $"quantize.linear.{export.Name.Split('/')[0]}", "converter" => export.Name, _ => null,
    };
}
