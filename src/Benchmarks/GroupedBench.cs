using Titan.Abstractions;
using Titan.Quantization.Measurement;
using Titan.Training.Loop;

namespace Titan.Benchmarks;

/// <summary>Times the products of experts against loops over experts.</summary>
/// <param name="timer">How to time.</param>
/// <param name="where">The device.</param>
/// <param name="recipes">The recipes for experts.</param>
public sealed class GroupedBench(InterleavedTimer timer, TrainingDevice where, IReadOnlyList<BenchRecipe> recipes)
{
    /// <summary>Less than this is another result.</summary>
    private const double LeastAgreement = 45;

    /// <summary>Measures experts of a shape.</summary>
    /// <param name="experts">The data.</param>
    /// <param name="small">Experts of the same kind that are quick to run, for what .NET compiles first.</param>
    /// <param name="progress">Told what is measured.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.RunFailed"/> where a grouped product is not that of its baseline: what is fast and wrong needs no table.</exception>
    public BenchmarkTable Measure(TimedExperts experts, TimedExperts small, BenchProgress progress)
    {
        CodeWarmUp.Run([.. All(small).SelectMany(p => Arms(small, p.Product))]);
        var rows = new List<IReadOnlyList<string>>();
        foreach (var (name, product) in All(experts))
        {
            progress.Next($"{name}, {product.Name}");
            if (TimedExperts.Agreement(product) is < LeastAgreement and var agreement)
                throw new TitanException(ExitCode.RunFailed, $"{name}, {product.Name}: the grouped product keeps {agreement:F0} dB of its baseline's, {LeastAgreement} are expected; report this");
            var times = timer.Time(Arms(experts, product));
            Timing baseline = times[0], grouped = times[^1], loop = times[times.Count - 2];
            rows.Add([name, product.Name, .. Cells(baseline), .. product.Loop is null ? ["", ""] : Cells(loop), .. Cells(grouped), BenchText.Ratio(baseline.Median / grouped.Median),
                product.Loop is null ? "" : BenchText.Ratio(loop.Median / grouped.Median), $"{grouped.Repetitions}"]);
        }

        return new BenchmarkTable("Experts", ["recipe", "product", "ATen loop ms", "least", "our decode + loop ms", "least", "grouped ms", "least", "ATen loop / grouped", "our loop / grouped", "repetitions"], rows);

        static string[] Cells(Timing time) => [BenchText.Milliseconds(time.Median), BenchText.Milliseconds(time.Least)];
    }

    /// <summary>How many products are measured.</summary>
    public int Count => 3 + recipes.Sum(r => r.Recipe.GradWeight.IsHighPrecision ? 2 : 3);

    private IEnumerable<(string Name, ExpertProduct Product)> All(TimedExperts experts) =>
        experts.HighPrecision().Select(p => ("bf16", p)).Concat(recipes.SelectMany(r => experts.By(r.Name, r.Recipe, where.Capability, r.Emulated).Select(p => (r.Name, p))));

    private static Action[] Arms(TimedExperts experts, ExpertProduct product) =>
        product.Loop is { } loop ? [experts.Arm(product.Baseline), experts.Arm(loop), experts.Arm(product.Grouped)] : [experts.Arm(product.Baseline), experts.Arm(product.Grouped)];
}
