using Titan.Abstractions;
using Titan.Host.Configuration;
using Titan.Host.Plugins;
using Titan.Quantization.Conversion;
using Titan.Quantization.Measurement;
using Titan.Training.Loop;
using static TorchSharp.torch;

namespace Titan.Host.Jobs;

/// <summary>The converters of a job, of the plugins that it names: one for each recipe family, and those that are exported as such.</summary>
public sealed class ConverterSet
{
    private readonly PluginCatalog catalog;
    private readonly AgreedMeasurer measurer;

    /// <summary>Makes no converter yet.</summary>
    public ConverterSet(PluginCatalog catalog, IProcessGroup world)
    {
        this.catalog = catalog;
        // Chosen when something is to be measured: most commands need no device, and must not fail for want of one.
        var device = new Lazy<Device>(() => TrainingDevice.Choose().Device);
        var cached = new CachedMeasurer(new LayerMeasurer(TimeProvider.System, () => device.Value), CachedMeasurer.DefaultFolder, () => Hardware.On(device.Value).Measured, text => Console.Error.WriteLine($"titan: {text}"));
        measurer = new AgreedMeasurer(cached, world);
    }

    /// <summary>The converters of <c>model.converters</c>, in order, with their options. Loads their plugins.</summary>
    /// <exception cref="TitanException">When a name is unknown, families are mixed, an option belongs to another recipe, or a plugin fails while it loads.</exception>
    public IReadOnlyList<(string Name, IModelConverter Converter, object Options)> Choose(LoadedJob job, ConfigSchema schema)
    {
        var names = job.Config.Model.Converters;
        if (names.GroupBy(n => n).FirstOrDefault(g => g.Count() > 1) is { } twice) throw new TitanException(ExitCode.Usage, $"model.converters names '{twice.Key}' twice");
        var families = names.Where(n => n.StartsWith("quantize.", StringComparison.Ordinal)).Select(n => n.Split('.')[^1]).Distinct().ToList();
        if (families.Count > 1)
            throw new TitanException(ExitCode.Usage, $"model.converters: cannot combine different quantization types: {string.Join(" and ", families)}; keep one");
        var named = new NamedExports(catalog.Records, job);
        foreach (var (fullName, origin) in job.Origins)
        {
            // A job file may hold the section of a converter that it does not use, as upstream's do; a flag is meant.
            if (origin != CommandLineSource.Origin || schema.Find(fullName) is not [var key, ..] || !named.Known.Contains(key.Section) || names.Contains(key.Section)) continue;
            throw new TitanException(ExitCode.Usage,
                $"--{fullName} has no effect: model.converters does not list {key.Section}; add --model.converters {string.Join(',', names.Append(key.Section))}, or drop the flag");
        }

        var exports = named.Converters;
        foreach (var export in exports.Where(e => e.Export.Is(ExportKinds.Recipe) || e.Export.Is(ExportKinds.GroupedRecipe))) ThrowIfOfAnotherRecipe(export.Export, job, schema);
        catalog.Load(exports.Select(e => e.Plugin));
        return [.. names.Zip(exports, (name, export) => Choose(name, export, job))];
    }

    private (string Name, IModelConverter Converter, object Options) Choose(string name, NamedExport named, LoadedJob job)
    {
        if (catalog.Now(named.Plugin) is { Status: not PluginStatus.Active } failed) throw NamedExports.NotActive(name, failed);
        if (named.Export.Is(ExportKinds.Converter))
        {
            var exported = catalog.Export<IModelConverter, ConverterMetadata>(named.Plugin, named.Export);
            return (name, exported.Part, job.OptionsAs(exported.Part.OptionsType, name, null));
        }

        if (named.Export.Is(ExportKinds.GroupedRecipe))
        {
            var (_, metadata, part) = catalog.Export<IGroupedRecipe, RecipeMetadata>(named.Plugin, named.Export);
            return ForExperts(name, metadata, part, job.OptionsAs(part.OptionsType, name, metadata.Name));
        }

        var recipe = catalog.Export<IQuantizationRecipe, RecipeMetadata>(named.Plugin, named.Export);
        // A linear recipe that serves experts has the options of its own section.
        if (name.StartsWith(QuantizeGroupedConverter.Prefix, StringComparison.Ordinal))
            return ForExperts(name, recipe.Metadata, recipe.Part, job.OptionsAs(recipe.Part.OptionsType, named.Export.Converter!, recipe.Metadata.Name));
        var quantize = new QuantizeLinearConverter(recipe.Metadata.Family, [(recipe.Metadata, recipe.Part)], measurer);
        var own = (QuantizeLinearOptions)job.OptionsAs(typeof(QuantizeLinearOptions), name, null);
        var options = job.OptionsAs(recipe.Part.OptionsType, name, recipe.Metadata.Name);
        return (name, quantize, new QuantizeOptions(own with { RecipeName = recipe.Metadata.Name }, new Dictionary<string, object> { [recipe.Metadata.Name] = options }));

        (string, IModelConverter, object) ForExperts(string converter, RecipeMetadata metadata, IQuantizationRecipe part, object options) =>
            (converter, new QuantizeGroupedConverter(metadata.Family, [(metadata, part, options)]), (QuantizeGroupedOptions)job.OptionsAs(typeof(QuantizeGroupedOptions), converter, null) with { RecipeName = metadata.Name });
    }

    private static void ThrowIfOfAnotherRecipe(PluginExport recipe, LoadedJob job, ConfigSchema schema)
    {
        foreach (var (fullName, origin) in job.Origins)
        {
            var keys = schema.Find(fullName);
            if (keys.Count == 0 || keys[0].Section != recipe.Converter || keys.Any(k => k.Owner is null || k.Owner == recipe.Owner)) continue;
            // A job file may spell out a default: that asks for nothing.
            if (KeyType.Same(job.Values[fullName], keys[0].Default)) continue;
            throw new TitanException(ExitCode.Usage,
                $"{origin}: {fullName} belongs to recipe {string.Join(", ", keys.Select(k => k.Owner))}, but the job uses recipe {recipe.Owner}; remove it or set {PluginSection.RecipeKey}");
        }
    }
}
