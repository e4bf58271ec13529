using System.Composition;

namespace Titan.Abstractions;

/// <summary>
/// Exports a recipe for experts as <c>family/name</c>. The host gives each family that has one a converter, <c>quantize.grouped_mm.FAMILY</c>, and a config section of that name. Linear recipes of the family
/// whose casts are local to rows or blocks serve there too, by their names.
/// </summary>
[MetadataAttribute]
[AttributeUsage(AttributeTargets.Class)]
public sealed class ExportGroupedRecipeAttribute : ExportAttribute
{
    /// <summary>Exports the class, which must implement <see cref="IGroupedRecipe"/>.</summary>
    /// <param name="family">Lower case, for example <c>float8</c>.</param>
    /// <param name="name">The value of <c>recipe_name</c>, for example <c>rowwise</c>.</param>
    public ExportGroupedRecipeAttribute(string family, string name) : base(typeof(IGroupedRecipe)) => (Family, Name) = (family, name);

    /// <summary>The family.</summary>
    public string Family { get; }

    /// <summary>The recipe's name within the family.</summary>
    public string Name { get; }

    /// <summary>Whether the family uses this recipe when <c>recipe_name</c> is absent. One per family.</summary>
    public bool IsDefault { get; set; }

    /// <summary>How far the recipe can be relied on.</summary>
    public ExportStatus Status { get; set; }

    /// <summary>One line for help texts.</summary>
    public string Summary { get; set; } = "";
}
