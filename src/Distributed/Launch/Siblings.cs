using System.Globalization;

namespace Titan.Distributed.Launch;

/// <summary>The processes that the launcher started on this machine, as the kernel shows them: a rank that ends well before it joins tells nobody, and the others would wait for it.</summary>
internal sealed class Siblings : IDisposable
{
    // How their names begin: where something else started this process, its other children say nothing about ranks.
    private static readonly string[] Launchers = ["mpirun", "mpiexec", "orte", "prte", "hydra_pmi_proxy"];
    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(1);

    // A launcher starts its processes one after the other.
    private const int Looks = 5;

    private readonly int expected;
    private readonly Action<string> missing;
    private readonly Timer timer;
    private int looks;

    private Siblings(int expected, Action<string> missing)
    {
        (this.expected, this.missing) = (expected, missing);
        timer = new Timer(_ => Look(), null, LookEvery, LookEvery);
    }

    /// <summary>Looks after them until it is disposed; null where the launcher does not say how many there are.</summary>
    /// <param name="missing">Receives what to say when some have ended.</param>
    public static Siblings? Watch(Action<string> missing) =>
        new[] { "OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS" }.Select(Environment.GetEnvironmentVariable).FirstOrDefault(v => v is not null) is { } text
        && int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var expected) && expected > 1
            ? new Siblings(expected, missing)
            : null;

    public void Dispose() => timer.Dispose();

    /// <summary>How many processes this one's launcher has; null where its parent is no launcher.</summary>
    public static int? Count()
    {
        if (Parent("self") is not { } launcher || !Launchers.Any(Text($"/proc/{launcher}/comm").StartsWith)) return null;
        return Directory.EnumerateDirectories("/proc").Select(Path.GetFileName).Count(p => char.IsAsciiDigit(p![0]) && Parent(p) == launcher);
    }

    private void Look()
    {
        var alive = Count() ?? expected;
        looks = alive < expected ? looks + 1 : 0;
        if (looks == Looks)
            missing($"{expected - alive} of the {expected} processes that the launcher started on this machine ended before they had joined the job: another command, or a program that ended early; " +
                "all ranks must run the same 'titan train'. The job ends");
    }

    /// <summary>The parent of a process that lives.</summary>
    private static int? Parent(string process)
    {
        // 12 (a name) S 3 ...
        var text = Text($"/proc/{process}/stat");
        var fields = text[(text.LastIndexOf(')') + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return fields is [not ("Z" or "X"), var parent, ..] ? int.Parse(parent, CultureInfo.InvariantCulture) : null;
    }

    private static string Text(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It ended while we looked at it, or this is no Linux.
            return "";
        }
    }
}
