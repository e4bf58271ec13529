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

    /// <summary>Every recipe that is loaded.</summary>
    public static IReadOnlyList<NamedRecipe> All(JobSession session) => [.. session.Catalog.Recipes.Select(r => Described(
        $"{r.Metadata.Family}/{r.Metadata.Name}", r.Part,
        // The first record of a section is the converter's own.
        session.Job.Config.PluginSections[$"quantize.linear.{r.Metadata.Family}"].Skip(1).First(o => o.GetType() == r.Part.OptionsType)))];

    private static NamedRecipe Described(string name, IQuantizationRecipe recipe, object options)
    {
        var described = recipe.Describe(options);
        described.Validate(name);
        return new NamedRecipe(name, described);
    }
}
