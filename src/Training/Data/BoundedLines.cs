using System.Text;

namespace Titan.Training.Data;

/// <summary>
/// Reads lines as <see cref="TextReader.ReadLine"/> does, but none of unbounded length: a small archive may unpack to one line larger than memory.
/// </summary>
/// <param name="reader">The text.</param>
internal sealed class BoundedLines(TextReader reader)
{
    /// <summary>Characters that a line or a document may have.</summary>
    public const int Longest = 1 << 24;

    private readonly char[] buffer = new char[1 << 16];
    private readonly StringBuilder line = new();
    private int at;
    private int count;
    private bool afterReturn;

    /// <summary>Lines that were read.</summary>
    public long Number { get; private set; }

    /// <summary>The next line without its end; null after the last.</summary>
    /// <exception cref="InvalidDataException">When it has a NUL, which text has not, or is too long.</exception>
    public string? Next()
    {
        line.Clear();
        while (Fill())
        {
            if (afterReturn && buffer[at] == '\n') at++;
            afterReturn = false;
            var rest = buffer.AsSpan(at, count - at);
            var end = rest.IndexOfAny('\n', '\r', '\0');
            if (end >= 0 && rest[end] == '\0') throw new InvalidDataException($"line {Number + 1} has a NUL character: it is binary, not text");
            var part = end < 0 ? rest : rest[..end];
            if (line.Length + part.Length > Longest)
                throw new InvalidDataException($"line {Number + 1} has more than {Longest:N0} characters; cut it into several documents");
            line.Append(part);
            at += part.Length;
            if (end < 0) continue;
            afterReturn = buffer[at++] == '\r';
            return Done();
        }

        return line.Length > 0 ? Done() : null;
    }

    private string Done()
    {
        Number++;
        return line.ToString();
    }

    private bool Fill()
    {
        if (at < count) return true;
        at = 0;
        count = reader.Read(buffer, 0, buffer.Length);
        return count > 0;
    }
}
