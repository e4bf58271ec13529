using System.Diagnostics;
using System.Globalization;

namespace Titan.Host.Tests.Signals;

/// <summary>Holds the processes of a job at a moment, so that a signal comes then and not a little before or after.</summary>
internal sealed class Hold : IDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(4);

    private readonly string folder = Directory.CreateTempSubdirectory("titan-hold-").FullName;

    /// <param name="moment">A failpoint's name, also with the time that is meant: <c>micro-batch:3</c>.</param>
    public Hold(string moment)
    {
        Moment = moment;
        File.WriteAllText(Path, "");
    }

    public string Moment { get; }

    public string Path => System.IO.Path.Combine(folder, "held");

    /// <summary>What a process sees.</summary>
    public (string Name, string Value) Variable => ("TITAN_HOLD", $"{Moment}={Path}");

    /// <summary>The processes that are there, or were.</summary>
    public IReadOnlyList<int> Reached =>
        [.. Directory.GetFiles(folder).Select(f => System.IO.Path.GetExtension(f)).Where(e => e.Length > 1).Select(e => int.Parse(e[1..], CultureInfo.InvariantCulture))];

    /// <summary>Waits until so many processes are there.</summary>
    /// <param name="processes">How many.</param>
    /// <param name="hasEnded">Whether they cannot come any more.</param>
    public void WaitReached(int processes, Func<bool> hasEnded)
    {
        var clock = Stopwatch.StartNew();
        while (Reached.Count < processes)
        {
            Assert.False(hasEnded(), $"ended before {processes} came to '{Moment}'");
            Assert.True(clock.Elapsed < Limit, $"'{Moment}' was not reached by {processes} within {Limit}");
            Thread.Sleep(10);
        }
    }

    public void Release() => File.Delete(Path);

    public void Dispose() => Directory.Delete(folder, true);
}
