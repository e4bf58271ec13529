using Titan.Abstractions;
using Titan.Host.Configuration;
using Titan.Models;
using Titan.Quantization.Conversion;
using Titan.Training.Models;

namespace Titan.Host.Plugins;

/// <summary>The kinds of things that plugins export. A kind that is new to the contract, an attribute and an interface there, is a row here.</summary>
public static class ExportKinds
{
    /// <summary>The section of all parallelisms' options.</summary>
    public const string ParallelismSection = "parallelism";

    private const string Dotted = "is not made of lower-case letters, digits and underscores, with dots between its parts";

    /// <summary>How the operands of a linear layer's matmuls are cast.</summary>
    public static ExportKind<IQuantizationRecipe, RecipeMetadata> Recipe { get; } = new("recipe", typeof(ExportRecipeAttribute), m => $"{m.Family}/{m.Name}")
    {
        IsName = PluginNames.IsRecipe,
        NameFault = "is not made of lower-case letters, digits and underscores, with one '/' between family and name",
        Section = name => $"quantize.linear.{name.Split('/')[0]}",
        Owner = name => name[(name.IndexOf('/') + 1)..],
        OwnerKind = "recipe",
        Common = OptionsRecord.Describe(typeof(QuantizeLinearOptions)),
        IsConverter = true,
        Check = (plugin, name, recipe) => new CheckedRecipe(plugin, name, recipe),
    };

    /// <summary>How the operands of experts' grouped matmuls are cast.</summary>
    public static ExportKind<IGroupedRecipe, RecipeMetadata> GroupedRecipe { get; } = new("groupedrecipe", typeof(ExportGroupedRecipeAttribute), m => $"{m.Family}/{m.Name}")
    {
        IsName = PluginNames.IsRecipe,
        NameFault = Recipe.NameFault,
        Section = name => $"{QuantizeGroupedConverter.Prefix}{name.Split('/')[0]}",
        Owner = name => name[(name.IndexOf('/') + 1)..],
        OwnerKind = "recipe",
        Common = OptionsRecord.Describe(typeof(QuantizeGroupedOptions)),
        IsConverter = true,
        Check = (plugin, name, recipe) => new CheckedGroupedRecipe(plugin, name, recipe),
    };

    /// <summary>What changes a built model.</summary>
    public static ExportKind<IModelConverter, ConverterMetadata> Converter { get; } = new("converter", typeof(ExportConverterAttribute), m => m.Name)
    {
        IsName = PluginNames.IsConverter,
        NameFault = Dotted,
        Reserved = ("quantize.", "recipe families"),
        Section = name => name,
        IsConverter = true,
        Check = (plugin, name, converter) => new CheckedConverter(plugin, name, converter),
    };

    /// <summary>What shares a model's work along an axis of the mesh.</summary>
    public static ExportKind<IParallelism, ParallelismMetadata> Parallelism { get; } = new("parallelism", typeof(ExportParallelismAttribute), m => m.Axis.Name())
    {
        IsName = name => MeshAxes.All.Any(a => a.Name() == name),
        NameFault = $"is not one of: {string.Join(", ", MeshAxes.All.Select(a => a.Name()))}",
        Section = _ => ParallelismSection,
        Owner = name => name,
        IsSectionOfHost = true,
        Check = (plugin, name, parallelism) => new CheckedParallelism(plugin, name, parallelism),
    };

    /// <summary>A family of models.</summary>
    public static ExportKind<IModelFamily, ModelMetadata> Model { get; } = new("model", typeof(ExportModelAttribute), m => m.Name)
    {
        IsName = name => KeyNames.IsPart(name) && !ModelRegistry.BuiltIn.Contains(name),
        NameFault = $"is not made of lower-case letters, digits and underscores, or is a family of the host's ({string.Join(", ", ModelRegistry.BuiltIn)})",
        Check = (plugin, name, family) => new CheckedFamily(plugin, name, family),
    };

    /// <summary>All rows.</summary>
    public static IReadOnlyList<ExportKind> All { get; } = [Recipe, GroupedRecipe, Converter, Parallelism, Model];

    /// <summary>What an author may write on a class to export it.</summary>
    public static string Marks { get; } = $"{string.Join(", ", All.SkipLast(1).Select(k => k.Mark))} or {All[^1].Mark}";

    extension(PluginExport export)
    {
        /// <summary>Its row; null for a kind that this host does not know.</summary>
        public ExportKind? KindOrNull => All.FirstOrDefault(k => k.Name == export.Kind);

        /// <summary>The config section that holds its options; null for none.</summary>
        public string? Section => export.KindOrNull?.Section(export.Name);

        /// <summary>Whose options they are in a section that several exports share: a recipe's name within its family; null for the section's own.</summary>
        public string? Owner => export.KindOrNull?.Owner(export.Name);

        /// <summary>The converter that a job names to use it, which is also its config section; null where no converter uses it.</summary>
        public string? Converter => export.KindOrNull is { IsConverter: true } ? export.Section : null;

        /// <summary>Whether it is of a kind.</summary>
        public bool Is(ExportKind kind) => export.Kind == kind.Name;
    }
}
