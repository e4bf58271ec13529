using Titan.Abstractions;

namespace Titan.Quantization.Conversion;

/// <summary>Which recipe of a family <c>recipe_name</c> chooses: a rule over names alone, so that it can be followed before any recipe is loaded.</summary>
public static class RecipeChoice
{
    /// <summary>The index of the chosen recipe.</summary>
    /// <param name="converter">The family's converter, for messages.</param>
    /// <param name="recipes">The family's recipes: name, and whether it is the default.</param>
    /// <param name="recipeName">What the job says; null for the default.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/>, listing the family's recipes; with <see cref="ExitCode.Plugin"/> where two claim to be the default.</exception>
    public static int Of(string converter, IReadOnlyList<(string Name, bool IsDefault)> recipes, string? recipeName)
    {
        var names = string.Join(", ", recipes.Select(r => r.Name));
        var defaults = recipes.Where(r => r.IsDefault).Select(r => r.Name).ToList();
        if (recipeName is null && defaults.Count > 1)
            throw new TitanException(ExitCode.Plugin, $"{converter}: more than one recipe claims to be the family's default ({string.Join(", ", defaults)}); set recipe_name, or drop a plugin (--plugins.disable ID)");
        for (var i = 0; i < recipes.Count; i++)
            if (recipeName is null ? recipes[i].IsDefault : recipes[i].Name == recipeName) return i;
        throw new TitanException(ExitCode.Usage, recipeName is null
            ? $"{converter}: the family has no default recipe; set recipe_name to one of: {names}"
            : $"{converter}.recipe_name = '{recipeName}': no loaded plugin has this recipe; known: {names}; 'titan plugin list' shows what is loaded and why others are not");
    }
}
