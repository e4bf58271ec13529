using System.Text;

namespace Titan.Benchmarks;

/// <summary>Rows of text under columns, as markdown and as CSV.</summary>
/// <param name="Title">What it shows.</param>
/// <param name="Columns">Heads, with units.</param>
/// <param name="Rows">Cells; as many as columns.</param>
public sealed record BenchmarkTable(string Title, IReadOnlyList<string> Columns, IReadOnlyList<IReadOnlyList<string>> Rows)
{
    /// <summary>As markdown, without the title.</summary>
    public string ToMarkdown()
    {
        var text = new StringBuilder();
        text.AppendLine($"| {string.Join(" | ", Columns)} |").AppendLine($"|{string.Concat(Enumerable.Repeat("---|", Columns.Count))}");
        foreach (var row in Rows) text.AppendLine($"| {string.Join(" | ", row.Select(c => c.Replace("|", "\\|", StringComparison.Ordinal)))} |");
        return text.ToString();
    }

    /// <summary>As CSV (RFC 4180).</summary>
    public string ToCsv() => string.Concat(Rows.Prepend(Columns).Select(row => string.Join(',', row.Select(Quoted)) + "\n"));

    private static string Quoted(string cell) => cell.AsSpan().ContainsAny(",\"\n") ? $"\"{cell.Replace("\"", "\"\"", StringComparison.Ordinal)}\"" : cell;
}
