using Titan.Abstractions;
using Titan.Models;

namespace Titan.Host.Plugins;

/// <summary>A plugin's model family as the host uses it: its flavors have no gaps, and a model is what its flavor says, or the error names plugin, family and flavor.</summary>
/// <param name="plugin">The plugin's id.</param>
/// <param name="name">The family's name.</param>
/// <param name="family">The plugin's.</param>
internal sealed class CheckedFamily(string plugin, string name, IModelFamily family) : IModelFamily
{
    public IReadOnlyDictionary<string, ModelFlavor> Flavors => field ??= PluginCall.Ask(plugin, $"model '{name}': {nameof(Flavors)}", () => family.Flavors)
        .ToDictionary(f => f.Key, f => Checked(f.Key, f.Value), StringComparer.Ordinal);

    private ModelFlavor Checked(string flavor, ModelFlavor given)
    {
        if (given is not { Counts: { Parameters: > 0, Layers: > 0, Dimension: > 0, Vocabulary: > 0 } counts, Build: not null })
            throw Refusal(flavor, "has no counts, or one of its counts (parameters, layers, dimension, vocabulary) is not positive, or no Build");
        return given with { Build = context => Build(flavor, counts, given.Build, context) };
    }

    private LanguageModel Build(string flavor, ModelCounts counts, Func<ModelContext, LanguageModel> build, ModelContext context)
    {
        LanguageModel model;
        try
        {
            model = build(context) ?? throw Refusal(flavor, "Build returned null");
        }
        catch (Exception e) when (e is not TitanException)
        {
            throw new TitanException(ExitCode.Plugin, $"{Title(flavor)}: Build failed: {e.GetType().Name}: {e.Message}; use another model.name or report it to the plugin's author", e);
        }

        var parameters = ModelParameters.Of(model).Sum(p => p.Parameter.numel());
        if (parameters != counts.Parameters) throw Refusal(flavor, $"Build made {parameters:N0} parameters, its Counts say {counts.Parameters:N0}");
        return model.Blocks is { Count: > 0 } blocks && blocks.All(b => b is { Fqn: not null, Module: not null })
            ? model
            : throw Refusal(flavor, "Build made a model without Blocks, or with one that has no name or module");
    }

    private string Title(string flavor) => $"plugin '{plugin}': model {name}/{flavor}";

    private TitanException Refusal(string flavor, string what) => new(ExitCode.Plugin, $"{Title(flavor)}: {what}; use another model.name or report it to the plugin's author");
}
