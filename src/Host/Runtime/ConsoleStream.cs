using System.Text;
using Titan.Abstractions;

namespace Titan.Host.Runtime;

/// <summary>
/// Standard output or error whose disk may be full. Where the output is the result of a command, that fails it in plain words; a run goes on without its log, which says, once it
/// can be written again, how many lines are missing. Standard error loses what it cannot take: nothing is left to say it to.
/// </summary>
internal sealed class ConsoleStream : TextWriter
{
    private readonly TextWriter inner;
    private readonly Action<IOException> failed;
    private bool counts;
    private long lost;

    private ConsoleStream(TextWriter inner, Action<IOException> failed) => (this.inner, this.failed) = (inner, failed);

    /// <inheritdoc />
    public override Encoding Encoding => inner.Encoding;

    /// <summary>Puts such streams in the place of the process's own.</summary>
    /// <param name="isLog">Whether standard output is the log of a run.</param>
    public static void Install(bool isLog)
    {
        Console.SetError(new ConsoleStream(Console.Error, _ => { }));
        var said = false;
        Console.SetOut(new ConsoleStream(Console.Out, isLog ? Warn : Fail) { counts = isLog });

        void Warn(IOException e)
        {
            if (!said) Console.Error.WriteLine($"titan: warning: the log cannot be written to standard output ({e.Message}); the run goes on, and lines that are lost are counted");
            said = true;
        }

        static void Fail(IOException e) => throw new TitanException(ExitCode.RunFailed, $"standard output cannot be written: {e.Message}; make room, or send it elsewhere", e);
    }

    /// <inheritdoc />
    public override void Write(char value) => Try(() => inner.Write(value));

    /// <inheritdoc />
    public override void Write(string? value) => Try(() => inner.Write(value));

    /// <inheritdoc />
    public override void Write(char[] buffer, int index, int count) => Try(() => inner.Write(buffer, index, count));

    /// <inheritdoc />
    public override void WriteLine(string? value) => Try(() => inner.WriteLine(value));

    /// <inheritdoc />
    public override void Flush() => Try(inner.Flush);

    private void Try(Action write)
    {
        try
        {
            if (counts && lost > 0)
            {
                inner.WriteLine($"[{lost} lines of this log are missing: it could not be written]");
                lost = 0;
            }

            write();
        }
        catch (IOException e)
        {
            lost++;
            failed(e);
        }
    }
}
