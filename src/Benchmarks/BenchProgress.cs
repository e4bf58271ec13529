using System.Diagnostics;

namespace Titan.Benchmarks;

/// <summary>Says on standard error what is being measured: one line on a terminal, elsewhere a line now and then.</summary>
/// <param name="total">How many things there are to measure.</param>
public sealed class BenchProgress(int total) : IDisposable
{
    private static readonly TimeSpan Apart = TimeSpan.FromSeconds(10);
    private static readonly bool IsTerminal = !Console.IsErrorRedirected && Environment.GetEnvironmentVariable("TERM") is not (null or "dumb");
    private readonly Stopwatch since = Stopwatch.StartNew();
    private int at;

    /// <summary>The next thing begins.</summary>
    public void Next(string what)
    {
        at++;
        if (IsTerminal)
        {
            Console.Error.Write($"\r\u001b[K[{at}/{total}] {what}");
        }
        else if (since.Elapsed > Apart)
        {
            Console.Error.WriteLine($"[{at}/{total}] {what}");
            since.Restart();
        }
    }

    /// <inheritdoc />
    public void Dispose()
    {
        if (IsTerminal) Console.Error.Write("\r\u001b[K");
    }
}
