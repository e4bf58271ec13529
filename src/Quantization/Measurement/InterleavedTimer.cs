namespace Titan.Quantization.Measurement;

/// <summary>
/// Times several pieces of work against each other in one process: A B C, A B C, ... so that a slow moment of the machine, or of the allocator, meets all of them.
/// Each is run first without being timed.
/// </summary>
/// <param name="clock">The clock.</param>
/// <param name="warmUps">Rounds that are not timed.</param>
/// <param name="repetitions">Rounds that are timed.</param>
/// <param name="budget">When the timed rounds have taken this long, three of them are enough; null for no limit.</param>
public sealed class InterleavedTimer(TimeProvider clock, int warmUps, int repetitions, TimeSpan? budget = null)
{
    /// <summary>Fewer rounds have no median worth the name.</summary>
    public const int LeastRepetitions = 3;

    /// <summary>How it measures, for the head of a table.</summary>
    public string Description =>
        $"{warmUps} warm-up{(warmUps == 1 ? "" : "s")}, then {repetitions} repetitions{(budget is { } b ? $" ({Math.Min(LeastRepetitions, repetitions)} where they take more than {b.TotalSeconds:0.#} s)" : "")}, " +
        "interleaved arms in one process, median and least";

    /// <summary>Times the arms; the results are in their order.</summary>
    public IReadOnlyList<Timing> Time(params IReadOnlyList<Action> arms) => TimeBy(Elapsed, arms);

    /// <summary>As <see cref="Time"/>, by another clock.</summary>
    /// <param name="seconds">Runs an arm and says how long it took.</param>
    /// <param name="arms">The arms.</param>
    public IReadOnlyList<Timing> TimeBy(Func<Action, double> seconds, params IReadOnlyList<Action> arms)
    {
        for (var i = 0; i < warmUps; i++)
            foreach (var arm in arms) seconds(arm);
        var times = arms.Select(_ => new List<double>()).ToList();
        var began = clock.GetTimestamp();
        for (var round = 0; round < repetitions; round++)
        {
            if (round >= LeastRepetitions && budget is { } most && clock.GetElapsedTime(began) > most) break;
            for (var i = 0; i < arms.Count; i++) times[i].Add(seconds(arms[i]));
        }

        return [.. times.Select(Timing.Of)];
    }

    private double Elapsed(Action arm)
    {
        var start = clock.GetTimestamp();
        arm();
        return clock.GetElapsedTime(start).TotalSeconds;
    }
}
