using Titan.Abstractions;
using Titan.Host.Configuration;
using Titan.Host.Plugins;
using Titan.Quantization.Conversion;

namespace Titan.Host.Jobs;

/// <summary>A recipe of a loaded plugin, described with the options of a job.</summary>
/// <param name="Name">family/name.</param>
/// <param name="Recipe">Its three matmuls.</param>
public sealed record NamedRecipe(string Name, LinearRecipe Recipe)
{
    /// <summary>The recipes that the job's converters use.</summary>
    public static IReadOnlyList<NamedRecipe> OfJob(IEnumerable<(string Name, IModelConverter Converter, object Options)> converters)
    {
        var recipes = new List<NamedRecipe>();
        foreach (var (_, converter, options) in converters)
        {
            if (converter is not QuantizeLinearConverter quantize || options is not QuantizeOptions chosen) continue;
            var (metadata, recipe) = quantize.Choose(chosen.Own.RecipeName);
            recipes.Add(Described($"{metadata.Family}/{metadata.Name}", recipe, chosen.OfRecipe[metadata.Name]));
        }

        return recipes;
    }

    /// <summary>Every recipe of every active plugin; loads them all. One that cannot be described is left out, so that a bad plugin takes no other with it.</summary>
    /// <param name="session">The session.</param>
    /// <param name="warn">Told which was left out, and why.</param>
    public static IReadOnlyList<NamedRecipe> All(JobSession session, Action<string> warn)
    {
        var recipes = new List<NamedRecipe>();
        var offering = session.Catalog.Records.Where(r => r.Status == PluginStatus.Active && r.Exports.Any(e => e.Is(ExportKinds.Recipe))).ToList();
        session.Catalog.Load(offering);
        foreach (var failed in offering.Select(session.Catalog.Now).Where(r => r.Status != PluginStatus.Active)) warn($"plugin {failed.Id} is left out: {failed.Status}: {failed.Reason}; {failed.NextStep}");
        foreach (var (plugin, metadata, recipe) in session.Catalog.Exports<IQuantizationRecipe, RecipeMetadata>())
        {
            var name = $"{metadata.Family}/{metadata.Name}";
            try
            {
                recipes.Add(Described(name, recipe, session.Job.OptionsAs(recipe.OptionsType, $"quantize.linear.{metadata.Family}", metadata.Name)));
            }
            catch (Exception e)
            {
                warn($"recipe {name} of plugin {plugin} is left out: {PluginFault.TextOf(e)}");
            }
        }

        return recipes;
    }

    private static NamedRecipe Described(string name, IQuantizationRecipe recipe, object options)
    {
        var described = recipe.Describe(options);
        described.Validate(name);
        return new NamedRecipe(name, described);
    }
}
