using System.Diagnostics;
using System.Globalization;

namespace Titan.Host.Commands;

/// <summary>Says on standard error how far long work on files is: one line on a terminal, elsewhere a line now and then. Short work says nothing.</summary>
internal sealed class ByteProgress : IDisposable
{
    private static readonly TimeSpan First = TimeSpan.FromSeconds(2), Apart = TimeSpan.FromSeconds(10);
    private static readonly bool IsTerminal = !Console.IsErrorRedirected && Environment.GetEnvironmentVariable("TERM") is not (null or "dumb");

    private readonly Stopwatch since = Stopwatch.StartNew();
    private bool isShown;
    private TimeSpan said = First - Apart;

    /// <summary>Work begins; returns what is to be called with the bytes of each piece of it.</summary>
    /// <param name="what">What is done.</param>
    /// <param name="total">Bytes of all of it.</param>
    public Action<long> Begin(string what, long total)
    {
        long done = 0;
        return bytes =>
        {
            done += bytes;
            if (since.Elapsed - said < (IsTerminal && isShown ? TimeSpan.FromMilliseconds(200) : Apart)) return;
            said = since.Elapsed;
            var line = string.Create(CultureInfo.InvariantCulture, $"{what}: {done / 1e9:N2} of {total / 1e9:N2} GB");
            if (IsTerminal) Console.Error.Write($"\r\u001b[K{line}");
            else Console.Error.WriteLine($"titan: {line}");
            isShown = true;
        };
    }

    /// <inheritdoc />
    public void Dispose()
    {
        if (isShown && IsTerminal) Console.Error.Write("\r\u001b[K");
        isShown = false;
    }
}
