using Titan.Abstractions;
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

    /// <summary>Every recipe that is loaded. One that cannot be described is left out, so that a bad plugin takes no other with it.</summary>
    /// <param name="session">The session.</param>
    /// <param name="warn">Told which was left out, and why.</param>
    public static IReadOnlyList<NamedRecipe> All(JobSession session, Action<string> warn)
    {
        var recipes = new List<NamedRecipe>();
        foreach (var (plugin, metadata, recipe) in session.Catalog.Recipes)
        {
            var name = $"{metadata.Family}/{metadata.Name}";
            // The first record of a section is the converter's own.
            var options = session.Job.Config.PluginSections[$"quantize.linear.{metadata.Family}"].Skip(1).FirstOrDefault(o => o.GetType() == recipe.OptionsType);
            try
            {
                recipes.Add(Described(name, recipe, options ?? Activator.CreateInstance(recipe.OptionsType)!));
            }
            catch (Exception e)
            {
                warn($"recipe {name} of plugin {plugin} is left out: {e.Message.ReplaceLineEndings(" ")}");
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
