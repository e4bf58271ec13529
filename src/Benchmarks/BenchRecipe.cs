using Titan.Abstractions;
using Titan.Quantization.Linear;
using Titan.Quantization.Matmuls;

namespace Titan.Benchmarks;

/// <summary>A recipe that is measured.</summary>
/// <param name="Name">family/name.</param>
/// <param name="Recipe">Its casts.</param>
/// <param name="Emulated">Whether its matmuls are always emulated.</param>
/// <param name="IsDefault">Whether it is its family's default, and stable.</param>
public sealed record BenchRecipe(string Name, LinearRecipe Recipe, bool Emulated, bool IsDefault)
{
    /// <summary>family.</summary>
    public string Family => Name.Split('/')[0];

    /// <summary>Its name within the family.</summary>
    public string ShortName => Name.Split('/', 2)[1];

    /// <summary>Those of the recipes that are asked for.</summary>
    /// <param name="all">Those of the loaded plugins.</param>
    /// <param name="recipes">Names, comma separated, as family/name or name; <c>all</c>, or null for <paramref name="fallback"/>.</param>
    /// <param name="family">Only this family; null for all.</param>
    /// <param name="fallback">Which ones where none are named.</param>
    /// <exception cref="TitanException">For a name that no loaded plugin has, or when nothing is left.</exception>
    public static IReadOnlyList<BenchRecipe> Choose(IReadOnlyList<BenchRecipe> all, string? recipes, string? family, Func<BenchRecipe, bool> fallback)
    {
        if (family is not null)
        {
            if (all.All(r => r.Family != family)) throw BenchText.Unknown("--family", family, all.Select(r => r.Family).Distinct());
            all = [.. all.Where(r => r.Family == family)];
        }

        if (recipes is null) all = [.. all.Where(fallback)];
        else if (recipes != "all")
            all = [.. recipes.Split(',', StringSplitOptions.TrimEntries).SelectMany(name =>
                all.Where(r => r.Name == name || r.ShortName == name).ToList() is { Count: > 0 } found ? found : throw BenchText.Unknown("--recipe", name, all.Select(r => r.Name).Append("all"))).Distinct()];
        return all.Count > 0 ? all : throw new TitanException(ExitCode.Plugin, "no recipe is loaded, so there is nothing to measure; 'titan plugin list' shows what was found");
    }

    /// <summary>What executes it on a device, with fused casts.</summary>
    public LinearEngine Engine(DeviceCapability capability) => new(Name, Recipe, capability, fused: true, Emulated, new MatmulCounter());
}
