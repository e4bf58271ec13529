namespace Titan.Benchmarks;

/// <summary>One line on a terminal that says what is being measured; nothing where standard error is a file.</summary>
/// <param name="total">How many things there are to measure.</param>
public sealed class BenchProgress(int total) : IDisposable
{
    private static readonly bool Shown = !Console.IsErrorRedirected && Environment.GetEnvironmentVariable("TERM") is not (null or "dumb");
    private int at;

    /// <summary>The next thing begins.</summary>
    public void Next(string what)
    {
        at++;
        if (Shown) Console.Error.Write($"\r\u001b[K[{at}/{total}] {what}");
    }

    /// <inheritdoc />
    public void Dispose()
    {
        if (Shown) Console.Error.Write("\r\u001b[K");
    }
}
