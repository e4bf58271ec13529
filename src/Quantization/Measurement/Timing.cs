namespace Titan.Quantization.Measurement;

/// <summary>How long one of several interleaved pieces of work took.</summary>
/// <param name="Median">Seconds, the median of the repetitions.</param>
/// <param name="Least">Seconds, the fastest repetition.</param>
/// <param name="Repetitions">How many were timed.</param>
public sealed record Timing(double Median, double Least, int Repetitions)
{
    /// <summary>That of one call, where each repetition was of <paramref name="calls"/>.</summary>
    public Timing Each(int calls) => this with { Median = Median / calls, Least = Least / calls };

    /// <summary>From the seconds of every repetition.</summary>
    public static Timing Of(IReadOnlyCollection<double> seconds)
    {
        if (seconds.Count == 0) throw new ArgumentException("a timing needs at least one repetition");
        double[] sorted = [.. seconds.Order()];
        var middle = sorted.Length / 2;
        return new Timing(sorted.Length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2, sorted[0], sorted.Length);
    }
}
