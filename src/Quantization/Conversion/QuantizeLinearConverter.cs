using Titan.Abstractions;
using Titan.Quantization.Linear;
using Titan.Quantization.Matmuls;
using Titan.Quantization.Measurement;

namespace Titan.Quantization.Conversion;

/// <summary>The converter of a recipe family, <c>quantize.linear.FAMILY</c>: replaces linear layers by ones that execute the family's recipe.</summary>
/// <param name="family">The family.</param>
/// <param name="recipes">Its recipes.</param>
/// <param name="measurer">Measures layers for <c>auto_filter_measured</c>; null for one that keeps nothing.</param>
public sealed class QuantizeLinearConverter(string family, IReadOnlyList<(RecipeMetadata Metadata, IQuantizationRecipe Recipe)> recipes, ILayerMeasurer? measurer = null) : IModelConverter
{
    /// <summary>The converter's name.</summary>
    public string Name => $"quantize.linear.{family}";

    /// <inheritdoc />
    public Type OptionsType => typeof(QuantizeOptions);

    /// <summary>The recipe that <c>recipe_name</c> chooses.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/>, listing the family's recipes.</exception>
    public (RecipeMetadata Metadata, IQuantizationRecipe Recipe) Choose(string? recipeName) =>
        recipes[RecipeChoice.Of(Name, [.. recipes.Select(r => (r.Metadata.Name, r.Metadata.IsDefault))], recipeName)];

    /// <inheritdoc />
    public IModelConversion Convert(ModelSlots model, object options, ConversionContext context)
    {
        var chosen = (QuantizeOptions)options;
        var (metadata, recipe) = Choose(chosen.Own.RecipeName);
        var name = $"{family}/{metadata.Name}";
        var emulate = chosen.Own.Emulate || recipe.Emulated;
        if (recipe.Requires.Refusal(context.Device, emulate) is { } refusal)
            throw new TitanException(ExitCode.Hardware, $"recipe '{name}' {refusal}");

        var recipeOptions = chosen.OfRecipe[metadata.Name];
        var described = recipe.Describe(recipeOptions);
        var engine = new LinearEngine(name, described, context.Device, context.Fused, emulate, new MatmulCounter());
        var filter = new LayerFilter(chosen.Own.FilterFqns ?? recipe.DefaultFilterFqns, recipe, described.RequiredMultiple);
        var linears = model.Linears.ToList();
        // Decide about every layer first: an error must not leave a model that is half converted.
        var decisions = linears.Select(l => filter.SkippedBy(l.Fqn, l.Linear.Shape)).ToList();
        if (chosen.Own.FilterFqns is not null) filter.ThrowIfUnused([.. linears.Select(l => l.Fqn)]);
        // Last, for it costs time: only layers that no other rule skips, and only when the filter has no mistake.
        var measured = filter.Measures ? new MeasuredFilter(measurer ?? new LayerMeasurer(TimeProvider.System), engine, context) : null;
        var speedUps = linears.Zip(decisions, (l, skippedBy) => skippedBy is null ? measured?.SpeedUp(l.Linear) : null).ToList();
        decisions = [.. decisions.Zip(speedUps, (skippedBy, speedUp) => skippedBy ?? MeasuredFilter.SkippedBy(speedUp))];
        var layers = linears.Zip(decisions, speedUps).Select(l => new LayerConversion(
            l.First.Fqn, l.First.Linear.Shape, l.Second is null ? name : null, l.Second, l.Second is null ? engine.Backend : "high precision") { MeasuredSpeedUp = l.Third }).ToList();
        var wire = chosen.Own.EnableFsdpFloat8AllGather && context.Dimensions.FullyShard > 1 ? new WeightWire(chosen.Own.PrecomputeFloat8DynamicScaleForFsdp) : null;
        var converted = new List<QuantizedLinear>();
        foreach (var ((fqn, slot, linear), skippedBy) in linears.Zip(decisions))
        {
            if (skippedBy is not null) continue;
            var quantized = new QuantizedLinear(linear, engine, fqn, wire);
            slot.Replace(quantized, Name);
            converted.Add(quantized);
            if (engine.CastsWeightWithOneScale) engine.WeightAmaxes.Add(quantized);
        }

        string[] unmeasured = measured?.Note() is { } note ? [note] : [];
        var report = new ConversionReport(Name, $"{name}: {described}", metadata.Status, layers, [.. WireNotes(chosen.Own, described, context.Dimensions), .. recipe.Notes(recipeOptions, context.Dimensions), .. unmeasured]);
        return new QuantizeLinearConversion(report, engine, converted);
    }

    /// <summary>What was asked of the wire and cannot be given; printed in the report, never silent.</summary>
    private static IEnumerable<string> WireNotes(QuantizeLinearOptions options, LinearRecipe recipe, ParallelDimensions dimensions)
    {
        const string gather = "enable_fsdp_float8_all_gather", precompute = "precompute_float8_dynamic_scale_for_fsdp";
        if (dimensions.FullyShard == 1)
        {
            if (options.EnableFsdpFloat8AllGather) yield return $"{gather} has no effect: it needs more than one rank in dp_shard, this run has 1";
            if (options.PrecomputeFloat8DynamicScaleForFsdp) yield return $"{precompute} has no effect: it needs more than one rank in dp_shard, this run has 1";
        }
        else if (options.EnableFsdpFloat8AllGather && (recipe.Output.Right is not OperandCast.Scaled || recipe.GradInput.Right is not OperandCast.Scaled))
            yield return $"{gather} has no effect: this recipe's weights are not float8 in both matmuls";
        if (options is { PrecomputeFloat8DynamicScaleForFsdp: true, EnableFsdpFloat8AllGather: false }) yield return $"{precompute} has no effect without {gather}";
    }
}
