using Titan.Abstractions;
using Titan.Quantization.Conversion;

namespace Titan.Training.Tests;

/// <summary>The float8 converter without the plugin that brings its recipe: these tests are about the trainer.</summary>
internal static class TensorwiseConverter
{
    public static (string Name, IModelConverter Converter, object Options) Create()
    {
        var converter = new QuantizeLinearConverter("float8", [(new RecipeMetadata { Family = "float8", Name = "tensorwise", IsDefault = true }, new Recipe())]);
        return (converter.Name, converter, new QuantizeOptions(new QuantizeLinearOptions(), new Dictionary<string, object> { ["tensorwise"] = new NoOptions() }));
    }

    private sealed class Recipe : QuantizationRecipe<NoOptions>
    {
        public override LinearRecipe Describe(NoOptions options) => new(
            new(E4M3.Tensorwise, E4M3.Tensorwise), new(E5M2.Tensorwise, E4M3.Tensorwise), new(E5M2.Tensorwise, E4M3.Tensorwise));
    }
}
