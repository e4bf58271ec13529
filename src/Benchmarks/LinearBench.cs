using Titan.Abstractions;
using Titan.Quantization.Matmuls;
using Titan.Quantization.Measurement;
using Titan.Quantization.Roofline;
using Titan.Training.Loop;
using static TorchSharp.torch;

namespace Titan.Benchmarks;

/// <summary>
/// LayerNorm(K, no affine) -> Linear(K -> N, no bias) -> Sigmoid, forward and backward, bf16 compute with an fp32 weight: torchao's microbenchmark. All recipes and bf16 are
/// interleaved in one process.
/// </summary>
/// <param name="Where">The device.</param>
/// <param name="Recipes">The recipes.</param>
/// <param name="Clock">The clock.</param>
/// <param name="Repetitions">Timed repetitions of each shape.</param>
/// <param name="MemoryBytes">Shapes that need more are skipped.</param>
/// <param name="Limit">Shapes that would end later are skipped.</param>
public sealed record LinearBench(TrainingDevice Where, IReadOnlyList<BenchRecipe> Recipes, TimeProvider Clock, int Repetitions, long MemoryBytes, TimeSpan Limit)
{
    private const int WarmUps = 1;

    /// <summary>How it measures.</summary>
    public string Description =>
        $"LayerNorm (no affine) -> Linear (no bias) -> Sigmoid, forward and backward, bf16 compute, fp32 weight, fused casts; on {Where.Device}; {new InterleavedTimer(Clock, WarmUps, Repetitions).Description}, {TimedLayer.Calls(Where.Device)} in a row in each; " +
        $"shapes above {MemoryBytes / (double)(1L << 30):F1} GiB or past {Limit.TotalMinutes:0.##} minutes are skipped and listed";

    /// <summary>Measures the shapes in order.</summary>
    public IReadOnlyList<LinearResult> Run(IReadOnlyList<(long Tokens, LinearShape Shape)> shapes, BenchProgress progress)
    {
        var timer = new InterleavedTimer(Clock, WarmUps, Repetitions);
        WarmUpCode();
        var began = Clock.GetTimestamp();
        double slowest = 0;
        var results = new List<LinearResult>();
        foreach (var (tokens, shape) in shapes)
        {
            progress.Next($"{tokens}x{shape.K}x{shape.N}");
            var work = (double)tokens * shape.K * shape.N;
            if (WhyNot(tokens, shape, work * slowest, Clock.GetElapsedTime(began)) is { } why)
            {
                results.Add(new LinearResult(tokens, shape, null, new Dictionary<string, (Timing?, string?)>(), why));
                continue;
            }

            var start = Clock.GetTimestamp();
            results.Add(Measure(timer, tokens, shape));
            // Larger shapes are never slower per element than small ones, so this errs on the side of skipping.
            slowest = Clock.GetElapsedTime(start).TotalSeconds / work;
        }

        return results;
    }

    /// <summary>A row for each shape and recipe.</summary>
    public BenchmarkTable Table(IReadOnlyList<LinearResult> results, GpuSpec? gpu)
    {
        string[] columns = ["M", "K", "N", "recipe", "bf16, ms", "bf16, least", "recipe, ms", "recipe, least", "speed-up", .. gpu is null ? Array.Empty<string>() : [$"roofline {gpu.Name}"], "note"];
        return new BenchmarkTable("LayerNorm -> Linear -> Sigmoid", columns, [.. results.SelectMany(r => Recipes.Select(recipe => (IReadOnlyList<string>)
        [
            $"{r.Tokens}", $"{r.Shape.K}", $"{r.Shape.N}", recipe.Name, .. Cells(r.HighPrecision), .. Cells(r.Recipes.GetValueOrDefault(recipe.Name).Time),
            r.SpeedUp(recipe.Name) is { } gain ? BenchText.Ratio(gain) : "",
            .. gpu is null ? Array.Empty<string>() : [BenchText.Ratio(RooflineModel.Estimate(gpu, recipe.Recipe, r.Tokens, r.Shape, fused: true).SpeedUp)],
            r.Skipped is { } skipped ? "skipped: " + skipped : r.Recipes.GetValueOrDefault(recipe.Name).Refused is { } refused ? "skipped: " + refused : "",
        ]))]);

        static string[] Cells(Timing? time) => time is null ? ["", ""] : [BenchText.Milliseconds(time.Median), BenchText.Milliseconds(time.Least)];
    }

    /// <summary>Draws a heat map for each recipe and M that has at least two shapes; returns the paths.</summary>
    public IReadOnlyList<string> Draw(IReadOnlyList<LinearResult> results, Func<string, string> path)
    {
        var paths = new List<string>();
        foreach (var recipe in Recipes)
        {
            foreach (var of in results.Where(r => r.SpeedUp(recipe.Name) is not null).GroupBy(r => r.Tokens).Where(g => g.Count() > 1))
            {
                paths.Add(path($"_{Hardware.Slug(recipe.Name)}_m{of.Key}.png"));
                var cells = of.DistinctBy(r => r.Shape).ToDictionary(r => r.Shape, r => r.SpeedUp(recipe.Name)!.Value);
                HeatMap.Save(paths[^1], $"{recipe.Name}, M = {of.Key}: speed-up over bf16", cells);
            }
        }

        return paths;
    }

    private void WarmUpCode()
    {
        var multiple = 2 * Recipes.Max(r => r.Recipe.RequiredMultiple);
        using var small = new TimedLayer(multiple, new LinearShape(multiple, multiple), ScalarType.BFloat16, ScalarType.Float32, between: true, Where.Device);
        CodeWarmUp.Run([small.HighPrecision(Recipes[0].Engine(Where.Capability)), .. Recipes.Select(r => small.By(r.Engine(Where.Capability)))]);
    }

    private LinearResult Measure(InterleavedTimer timer, long tokens, LinearShape shape)
    {
        var fitting = Recipes.Where(r => Refusal(r, shape) is null).ToList();
        using var layer = new TimedLayer(tokens, shape, ScalarType.BFloat16, ScalarType.Float32, between: true, Where.Device);
        var times = layer.Time(timer, [layer.HighPrecision(Recipes[0].Engine(Where.Capability)), .. fitting.Select(r => layer.By(r.Engine(Where.Capability)))]);
        return new LinearResult(tokens, shape, times[0], Recipes.ToDictionary(
            r => r.Name, r => (fitting.IndexOf(r) is >= 0 and var i ? times[i + 1] : null, Refusal(r, shape))), null);
    }

    private static string? Refusal(BenchRecipe recipe, LinearShape shape)
    {
        var multiple = recipe.Recipe.RequiredMultiple;
        return shape.K % multiple == 0 && shape.N % multiple == 0 ? null : $"K and N must be multiples of {multiple}";
    }

    private string? WhyNot(long tokens, LinearShape shape, double expectedSeconds, TimeSpan spent)
    {
        var bytes = TimedLayer.Bytes(tokens, shape);
        if (bytes > MemoryBytes) return $"needs about {bytes / (double)(1L << 30):F1} GiB of memory, {MemoryBytes / (double)(1L << 30):F1} may be used (--memory)";
        return spent + TimeSpan.FromSeconds(Math.Min(expectedSeconds, 1e6)) > Limit && spent > TimeSpan.Zero && expectedSeconds > 0
            ? $"would take about {Math.Ceiling(expectedSeconds)} s, {Math.Max(0, (Limit - spent).TotalSeconds):F0} s are left of {Limit.TotalMinutes:0.##} minutes (--minutes)"
            : null;
    }
}
