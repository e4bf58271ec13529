using Titan.Abstractions;

namespace Titan.Host.Plugins;

/// <summary>A plugin's recipe as the host uses it: each answer comes in time and is not null, or the error names plugin, recipe and member.</summary>
/// <param name="plugin">The plugin's id.</param>
/// <param name="name">family/name.</param>
/// <param name="recipe">The plugin's.</param>
internal class CheckedRecipe(string plugin, string name, IQuantizationRecipe recipe) : IQuantizationRecipe
{
    public Type OptionsType => Ask(nameof(OptionsType), () => recipe.OptionsType);

    public DeviceRequirement Requires => Ask(nameof(Requires), () => recipe.Requires);

    public bool Emulated => PluginCall.AskOrNull(plugin, What(nameof(Emulated)), () => recipe.Emulated);

    public IReadOnlyList<string> DefaultFilterFqns => Ask(nameof(DefaultFilterFqns), () => recipe.DefaultFilterFqns);

    public LinearRecipe Describe(object options)
    {
        var described = Ask(nameof(Describe), () => recipe.Describe(options));
        return Fault(described) is { } fault
            ? throw new TitanException(ExitCode.Plugin, $"plugin '{plugin}': {What(nameof(Describe))} returned {fault}; drop it from model.converters or report it to its author")
            : Validated(new LinearRecipe(Checked(described.Output), Checked(described.GradInput), Checked(described.GradWeight)));
    }

    public string? AutoSkip(LinearShape shape) => PluginCall.AskOrNull(plugin, What(nameof(AutoSkip)), () => recipe.AutoSkip(shape));

    // As a list: an enumerator is code too.
    public IEnumerable<string> Notes(object options, ParallelDimensions dimensions) => Ask(nameof(Notes), () => recipe.Notes(options, dimensions)?.Select(n => n ?? "").ToList());

    private LinearRecipe Validated(LinearRecipe described)
    {
        try
        {
            described.Validate(name);
            return described;
        }
        catch (TitanException e)
        {
            throw new TitanException(e.Code, $"plugin '{plugin}': {e.Message}", e);
        }
    }

    private MatmulRecipe Checked(MatmulRecipe matmul) => matmul with { Left = Checked(matmul.Left), Right = Checked(matmul.Right) };

    private OperandCast Checked(OperandCast cast) => cast is OperandCast.Custom custom ? new OperandCast.Custom(new CheckedQuantizer(plugin, name, custom.Quantizer)) : cast;

    private T Ask<T>(string member, Func<T?> call) where T : class => PluginCall.Ask(plugin, What(member), call);

    private string What(string member) => $"recipe '{name}': {member}";

    /// <summary>A part of the recipe that cannot be; null for none.</summary>
    private static string? Fault(LinearRecipe described)
    {
        foreach (var (matmul, which) in new[] { (described.Output, "output"), (described.GradInput, "grad_input"), (described.GradWeight, "grad_weight") })
        {
            if (matmul is null) return $"null for {which}";
            foreach (var (cast, side) in new[] { (matmul.Left, "left"), (matmul.Right, "right") })
            {
                var fault = cast switch
                {
                    null => "null",
                    OperandCast.Custom { Quantizer: null } => "a custom cast without a quantizer",
                    OperandCast.Custom custom when custom.Quantizer.Name is null => "a quantizer without a name",
                    OperandCast.Scaled { Format: null } => "a cast without a format",
                    OperandCast.Scaled { Granularity: null } => "a cast without a granularity",
                    OperandCast.Scaled { Granularity: ScaleGranularity.Block { Length: < 1 } or ScaleGranularity.Tile { Rows: < 1 } or ScaleGranularity.Tile { Columns: < 1 } } scaled =>
                        $"blocks without elements ({scaled.Granularity})",
                    OperandCast.Scaled scaled when !Enum.IsDefined(scaled.Rounding) => $"a scale rounding that does not exist ({scaled.Rounding})",
                    _ => null,
                };
                if (fault is not null) return $"{fault} for the {side} operand of {which}";
            }
        }

        return null;
    }
}

/// <summary>The same for a recipe for experts.</summary>
/// <param name="plugin">The plugin's id.</param>
/// <param name="name">family/name.</param>
/// <param name="recipe">The plugin's.</param>
internal sealed class CheckedGroupedRecipe(string plugin, string name, IGroupedRecipe recipe) : CheckedRecipe(plugin, name, recipe), IGroupedRecipe;
