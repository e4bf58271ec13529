using Titan.Abstractions;
using Titan.Host.Jobs;
using Titan.Quantization.Roofline;

namespace Titan.Host.Planning;

/// <summary>One of the shapes of <c>titan estimate --shapes</c> under one recipe.</summary>
/// <param name="Estimate">The estimate.</param>
/// <param name="Refused">Why the recipe cannot convert a layer of this shape, or null.</param>
/// <param name="Caution">Why a GPU would refuse to multiply so many tokens, or null.</param>
public sealed record ShapeEstimate(LinearEstimate Estimate, string? Refused, string? Caution)
{
    /// <summary>One or a few words.</summary>
    public string Verdict => Refused ?? (Estimate.Gains ? "gains" : "loses") + (Caution is null ? "" : $"; {Caution}");

    /// <summary>Estimates the shapes.</summary>
    public static IReadOnlyList<ShapeEstimate> Of(NamedRecipe recipe, GpuSpec gpu, bool fused, IReadOnlyList<(long Tokens, LinearShape Shape)> shapes)
    {
        var multiple = recipe.Recipe.RequiredMultiple;
        return [.. shapes.Select(s => new ShapeEstimate(
            RooflineModel.Estimate(gpu, recipe.Recipe, s.Tokens, s.Shape, fused),
            s.Shape.K % multiple == 0 && s.Shape.N % multiple == 0 ? null : $"not converted: K and N must be multiples of {multiple}",
            // grad_weight contracts M.
            s.Tokens % multiple == 0 || !MatmulTime.IsFloat8(recipe.Recipe.GradWeight) ? null : $"M must be a multiple of {multiple} on a GPU"))];
    }
}
