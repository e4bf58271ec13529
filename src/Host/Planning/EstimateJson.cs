using System.Text.Json;
using Titan.Host.Jobs;
using Titan.Quantization.Roofline;

namespace Titan.Host.Planning;

/// <summary>Estimates for scripts: times in seconds.</summary>
internal static class EstimateJson
{
    private static readonly JsonSerializerOptions Options = new() { WriteIndented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static string Of(IReadOnlyList<Estimate> estimates) => JsonSerializer.Serialize(
        new
        {
            model = estimates[0].Model,
            gpu = estimates[0].Gpu.Name,
            tokens = estimates[0].Tokens,
            fused = estimates[0].Fused,
            recipes = estimates.Select(e => new
            {
                recipe = e.Recipe.Name,
                casts = e.Recipe.Recipe.ToString(),
                layers = e.Layers.Select(l => new
                {
                    fqns = l.Fqns,
                    k = l.Estimate.Shape.K,
                    n = l.Estimate.Shape.N,
                    count = l.Count,
                    bf16_s = l.Estimate.Bf16Seconds,
                    float8_s = l.Estimate.MatmulSeconds,
                    casts_s = l.Estimate.CastSeconds,
                    speed_up = l.Estimate.SpeedUp,
                    gains = l.Estimate.Gains,
                    skipped_by = l.SkippedBy,
                }),
                totals = new { bf16_s = e.Bf16Seconds, converted_s = e.Seconds, casts_s = e.CastSeconds, speed_up_of_linears = e.SpeedUp },
                notes = e.Notes,
            }),
        },
        Options);

    public static string Of(GpuSpec gpu, bool fused, IReadOnlyList<(NamedRecipe Recipe, IReadOnlyList<ShapeEstimate> Shapes)> estimates) => JsonSerializer.Serialize(
        new
        {
            gpu = gpu.Name,
            fused,
            recipes = estimates.Select(e => new
            {
                recipe = e.Recipe.Name,
                casts = e.Recipe.Recipe.ToString(),
                shapes = e.Shapes.Select(s => new
                {
                    m = s.Estimate.Tokens,
                    k = s.Estimate.Shape.K,
                    n = s.Estimate.Shape.N,
                    bf16_s = s.Estimate.Bf16Seconds,
                    float8_s = s.Estimate.MatmulSeconds,
                    casts_s = s.Estimate.CastSeconds,
                    speed_up = s.Estimate.SpeedUp,
                    gains = s.Estimate.Gains,
                    refused = s.Refused,
                    caution = s.Caution,
                }),
                notes = RooflineModel.Notes(e.Recipe.Recipe),
            }),
        },
        Options);
}
