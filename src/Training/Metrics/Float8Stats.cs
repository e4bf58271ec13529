using System.Globalization;
using Titan.Abstractions;
using Titan.Quantization.Conversion;
using Titan.Quantization.Statistics;

namespace Titan.Training.Metrics;

/// <summary>Measures, in steps that are due, what the float8 casts do to their tensors. Between those steps nothing observes them.</summary>
/// <param name="freq">Steps between measurements; step 1 is always due; 0 for none.</param>
/// <param name="conversions">What the job's converters made of its model.</param>
public sealed class Float8Stats(int freq, IEnumerable<IModelConversion> conversions)
{
    private const int Worst = 3;
    private readonly List<IFloat8Conversion> observed = [.. conversions.OfType<IFloat8Conversion>()];
    private CastObserver? observer;

    /// <summary>Starts to observe if <paramref name="step"/> (1 for the first) is due.</summary>
    public void Begin(long step) => Show(freq > 0 && (step == 1 || step % freq == 0) ? new CastObserver() : null);

    /// <summary>The float8 matmuls that were executed since the last call; null where no converter makes any.</summary>
    public long? TakeMatmuls() => observed.Count == 0 ? null : observed.Sum(o => o.Counter.Take());

    /// <summary>Stops observing: what comes after the first micro-batch tells nothing new.</summary>
    public void End()
    {
        if (observer is not null) observed.ForEach(o => o.Observer = null);
    }

    /// <summary>What was measured since <see cref="Begin"/>; null when the step was not due.</summary>
    /// <param name="step">The step.</param>
    public (string Line, IReadOnlyList<(string Name, double Value)> Values)? Take(long step)
    {
        if (observer is null) return null;
        var results = observer.Results;
        var taken = (Line(step, results, observer.Elapsed), Named(results));
        Show(null);
        return taken;
    }

    private static string Line(long step, IReadOnlyList<(string Layer, string Operand, CastStatistics Statistics)> results, TimeSpan elapsed)
    {
        // NaN, a tensor that is not finite, is worse than any number.
        var noisy = results.OrderBy(r => double.IsNaN(r.Statistics.Sqnr) ? double.NegativeInfinity : r.Statistics.Sqnr).Take(Worst)
            .Select(r => string.Create(CultureInfo.InvariantCulture, $"{r.Layer}/{r.Operand} {r.Statistics.Sqnr:F1} dB"));
        return string.Create(CultureInfo.InvariantCulture,
            $"float8 stats step: {step,2}  {results.Count} casts of {results.Select(r => r.Layer).Distinct().Count()} layers  worst sqnr: {string.Join(", ", noisy)}  " +
            $"most underflowed: {Most(results, s => s.Underflowed)}  most saturated: {Most(results, s => s.Saturated ?? 0)}  took {elapsed.TotalMilliseconds:F0} ms");
    }

    private static string Most(IReadOnlyList<(string Layer, string Operand, CastStatistics Statistics)> results, Func<CastStatistics, double> part)
    {
        var most = results.Where(r => part(r.Statistics) > 0).OrderByDescending(r => part(r.Statistics)).Select(r => ((string Layer, string Operand, double Part)?)(r.Layer, r.Operand, part(r.Statistics))).FirstOrDefault();
        return most is { } m ? string.Create(CultureInfo.InvariantCulture, $"{m.Layer}/{m.Operand} {100 * m.Part:G2}%") : "none";
    }

    private static IReadOnlyList<(string Name, double Value)> Named(IReadOnlyList<(string Layer, string Operand, CastStatistics Statistics)> results) =>
        [.. results.SelectMany(r => r.Statistics.Named().Select(n => ($"float8/{r.Layer}/{r.Operand}/{n.Name}", n.Value)))];

    private void Show(CastObserver? next)
    {
        if (observer is null && next is null) return;
        observer = next;
        observed.ForEach(o => o.Observer = next);
    }
}
