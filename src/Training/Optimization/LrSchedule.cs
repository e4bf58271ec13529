namespace Titan.Training.Optimization;

/// <summary>
/// The learning rate as a factor per step (upstream's warm-up, stable, decay): up to 1 over the warm-up, 1 for a while, then down to the minimum.
/// </summary>
public sealed class LrSchedule
{
    private readonly long warmup;
    private readonly long decay;
    private readonly long stable;
    private readonly string type;
    private readonly double minimum;

    /// <summary>Creates the schedule.</summary>
    /// <param name="total">Steps of the run.</param>
    /// <param name="warmup">Steps of the warm-up; at most <paramref name="total"/>.</param>
    /// <param name="decayRatio">Part of the run that decays; null for all after the warm-up.</param>
    /// <param name="type"><c>linear</c>, <c>sqrt</c> or <c>cosine</c>.</param>
    /// <param name="minimum">The factor at the end.</param>
    /// <param name="warn">Receives a warning when the parts do not fit the run.</param>
    public LrSchedule(long total, long warmup, double? decayRatio, string type, double minimum, Action<string> warn)
    {
        if (warmup > total)
        {
            warn($"lr_scheduler.warmup_steps = {warmup} is more than the run's {total} steps; using {total}");
            warmup = total;
        }

        var decay = decayRatio is { } ratio ? (long)Math.Round(total * ratio, MidpointRounding.ToEven) : total - warmup;
        if (warmup + decay > total)
        {
            warn($"warm-up ({warmup}) and decay ({decay}) are longer than the run's {total} steps; the decay is cut to {total - warmup}");
            decay = total - warmup;
        }

        (this.warmup, this.decay, this.type, this.minimum) = (warmup, decay, type, minimum);
        stable = total + 1 - warmup - decay;
    }

    /// <summary>The factor on the learning rate at a step.</summary>
    /// <param name="step">0 for the first.</param>
    public double Factor(long step)
    {
        if (step < warmup) return (step + 1) / (double)warmup;
        if (step < warmup + stable) return 1;
        var progress = Math.Min(1, (step + 1 - warmup - stable) / (double)decay);
        var shape = type switch
        {
            "sqrt" => 1 - Math.Sqrt(progress),
            "cosine" => 0.5 * (1 + Math.Cos(Math.PI * progress)),
            _ => 1 - progress,
        };
        return minimum + (1 - minimum) * shape;
    }
}
