namespace Titan.Host.Tests.Signals;

/// <summary>One cell of the grid: a moment, and the signals that come then.</summary>
/// <param name="Moment">Its name in the grid.</param>
/// <param name="Held">The failpoint that holds it.</param>
/// <param name="Saved">The step that is saved after a stop; null for none.</param>
/// <param name="SavedByMany">The same of many ranks, which finish their step.</param>
internal sealed record StopMoment(string Moment, string Held, int? Saved, int? SavedByMany)
{
    /// <summary>The moments of a run of four steps that saves and validates every second.</summary>
    public static IReadOnlyList<StopMoment> All { get; } =
    [
        new("starting", "starting", null, null),
        new("building", "building", null, null),
        new("first step", "micro-batch", 0, 1),
        new("step", "micro-batch:3", 2, 3),
        new("save", "mid-tensors:3", 2, 2),
        new("validation", "validation:2", 1, 1),
        new("ending", "ending", 4, 4),
        // A file that never answers.
        new("reading", "reading", 0, 0),
    ];

    /// <summary>What is sent: one signal; two that are one request; two with time between them.</summary>
    public static IReadOnlyList<string> Signals { get; } = ["TERM", "INT", "HUP", "QUIT", "TERM+TERM", "TERM then TERM", "INT then INT", "TERM then INT", "INT then TERM"];

    /// <summary>Whether every cell runs, not only those that stand for the others.</summary>
    public static bool IsFull { get; } = Environment.GetEnvironmentVariable("TITAN_FULL_CATALOGUE") == "1";

    public static StopMoment Of(string name) => All.Single(m => m.Moment == name);

    /// <summary>The cells to run.</summary>
    /// <param name="representative">Those that always do.</param>
    /// <param name="moments">The moments of the full grid.</param>
    public static TheoryData<string, string> Cells(IEnumerable<(string Moment, string Signals)> representative, IEnumerable<string> moments)
    {
        var cells = new TheoryData<string, string>();
        foreach (var (moment, signals) in IsFull ? moments.SelectMany(_ => Signals, (m, s) => (m, s)) : representative) cells.Add(moment, signals);
        return cells;
    }
}
