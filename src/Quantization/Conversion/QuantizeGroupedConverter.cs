using Titan.Abstractions;
using Titan.Quantization.Grouped;
using Titan.Quantization.Matmuls;

namespace Titan.Quantization.Conversion;

/// <summary>The converter of a recipe family for experts, <c>quantize.grouped_mm.FAMILY</c>: the grouped matmuls of the layers that <c>fqns</c> names execute the recipe.</summary>
/// <param name="family">The family.</param>
/// <param name="recipes">Its recipes, <see cref="IGroupedRecipe"/>s or linear ones, with their options.</param>
public sealed class QuantizeGroupedConverter(string family, IReadOnlyList<(RecipeMetadata Metadata, IQuantizationRecipe Recipe, object Options)> recipes) : IModelConverter
{
    /// <summary>Where all such converters' names begin.</summary>
    public const string Prefix = "quantize.grouped_mm.";

    /// <summary>The converter's name.</summary>
    public string Name => Prefix + family;

    /// <inheritdoc />
    public Type OptionsType => typeof(QuantizeGroupedOptions);

    /// <inheritdoc />
    public IModelConversion Convert(ModelSlots model, object options, ConversionContext context)
    {
        var chosen = (QuantizeGroupedOptions)options;
        var (metadata, recipe, recipeOptions) = recipes[RecipeChoice.Of(Name, [.. recipes.Select(r => (r.Metadata.Name, r.Metadata.IsDefault))], chosen.RecipeName)];
        var name = $"{family}/{metadata.Name}";
        var emulate = chosen.Emulate || recipe.Emulated;
        if (recipe.Requires.Refusal(context.Device, emulate) is { } refusal) throw new TitanException(ExitCode.Hardware, $"{Name}: recipe '{name}' {refusal}");
        var described = recipe.Describe(recipeOptions);
        var engine = new GroupedEngine(name, described, context.Device, context.Fused, emulate, new MatmulCounter());
        // Decide about every layer first: an error must not leave a model that is half converted.
        var matched = Matched(model, chosen.Fqns);
        foreach (var (fqn, layer) in matched) Check(fqn, layer, engine.RequiredMultiple);
        foreach (var (fqn, layer) in matched)
            layer.Matmul = new QuantizedGroupedMatmul(
                engine, layer, fqn, RowCodec.OfRows(engine.Linear, chosen.EnableFloat8Dispatch), RowCodec.OfGradients(engine.Linear, chosen.EnableFloat8Dispatch));

        List<LayerConversion> layers = [];
        foreach (var (fqn, layer) in model.Experts)
        {
            var isConverted = matched.Any(m => ReferenceEquals(m.Layer, layer));
            layers.AddRange(layer.Matrices.Select(w => Of($"{fqn}.{w.Name}", w.Source.Layout.GlobalShape, isConverted)));
        }

        // Upstream's wrapper takes these too, and multiplies them in high precision all the same.
        layers.AddRange(model.Linears.Where(l => Matches(l.Fqn, chosen.Fqns)).Select(l => new LayerConversion(
            l.Fqn, l.Linear.Shape, null, $"matches fqns, and is a linear layer: quantize.linear.{family} converts these", "high precision")));
        List<string> notes = [];
        if (chosen.EnableFloat8Dispatch && context.Dimensions.ExpertParallel == 1) notes.Add("enable_float8_dispatch has no effect: it needs more than one rank in ep, this run has 1");
        return new QuantizeGroupedConversion(new ConversionReport(Name, $"{name}: {described}", metadata.Status, layers, [.. notes, .. recipe.Notes(recipeOptions, context.Dimensions)]), engine);

        LayerConversion Of(string fqn, IReadOnlyList<long> shape, bool isConverted) => new(
            fqn, new LinearShape(shape[2], shape[1]), isConverted ? name : null, isConverted ? null : "fqns does not name it", isConverted ? engine.Backend : "high precision") { Experts = shape[0] };
    }

    /// <summary>The layers that <c>fqns</c> names; an error where an entry names none.</summary>
    private List<(string Fqn, IGroupedLayer Layer)> Matched(ModelSlots model, IReadOnlyList<string> fqns)
    {
        var known = model.Experts.Count == 0 ? "this model has no experts: drop the converter from model.converters" : $"the model's experts: {string.Join(", ", model.Experts.Take(4).Select(e => e.Fqn))}{(model.Experts.Count > 4 ? ", ..." : "")}";
        if (fqns.Count == 0) throw new TitanException(ExitCode.Usage, $"{Name}.fqns is empty, so that nothing would be converted; set it to experts; {known}");
        foreach (var entry in fqns)
        {
            if (string.IsNullOrWhiteSpace(entry)) throw new TitanException(ExitCode.Usage, $"{Name}.fqns holds an empty entry, which would match every layer; write experts for all experts");
            if (!model.Experts.Any(e => e.Fqn.Contains(entry, StringComparison.Ordinal))) throw new TitanException(ExitCode.Usage, $"{Name}.fqns entry '{entry}' matches no layer of experts; {known}");
        }

        return [.. model.Experts.Where(e => Matches(e.Fqn, fqns))];
    }

    private void Check(string fqn, IGroupedLayer layer, int multiple)
    {
        if (layer.Matmul is not HighPrecisionGroupedMatmul)
            throw new TitanException(ExitCode.Plugin, $"converter '{Name}' and the one that put '{layer.Matmul.Name}' there both claim layer '{fqn}'; name it in fqns of one of them");
        foreach (var (weight, shape) in layer.Matrices.Select(w => (w.Name, w.Source.Layout.GlobalShape)))
        {
            if (shape[1] % multiple != 0 || shape[2] % multiple != 0)
                throw new TitanException(ExitCode.Usage, $"{Name}: {fqn}.{weight} is [{string.Join(", ", shape)}]; expected N and K that are multiples of {multiple}; leave the layer out of fqns");
        }
    }

    private static bool Matches(string fqn, IReadOnlyList<string> fqns) => fqns.Any(entry => fqn.Contains(entry, StringComparison.Ordinal));
}
