using System.Composition;

namespace Titan.Abstractions;

/// <summary>
/// Exports a recipe as <c>family/name</c>. The host gives each family one converter, <c>quantize.linear.FAMILY</c>, and one config section of that name.
/// </summary>
[MetadataAttribute]
[AttributeUsage(AttributeTargets.Class)]
public sealed class ExportRecipeAttribute : ExportAttribute
{
    /// <summary>Exports the class, which must implement <see cref="IQuantizationRecipe"/>.</summary>
    /// <param name="family">Lower case, for example <c>float8</c>.</param>
    /// <param name="name">The value of <c>recipe_name</c>, for example <c>tensorwise</c>.</param>
    public ExportRecipeAttribute(string family, string name) : base(typeof(IQuantizationRecipe)) => (Family, Name) = (family, name);

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

/// <summary>The metadata of an exported recipe, readable without constructing it.</summary>
public sealed class RecipeMetadata
{
    /// <summary>The family.</summary>
    public string Family { get; set; } = "";

    /// <summary>The name within the family.</summary>
    public string Name { get; set; } = "";

    /// <summary>Whether it is the family's default.</summary>
    public bool IsDefault { get; set; }

    /// <summary>How far the recipe can be relied on.</summary>
    public ExportStatus Status { get; set; }

    /// <summary>One line for help texts.</summary>
    public string Summary { get; set; } = "";
}
