using System.Text;
using System.Text.RegularExpressions;
using Titan.Abstractions;
using Titan.Quantization.Measurement;

namespace Titan.Quantization.Conversion;

/// <summary>A conversion report for people: layers that differ in their block number alone share a line.</summary>
public static partial class ReportText
{
    /// <summary>Renders the report.</summary>
    public static string Render(ConversionReport report)
    {
        var text = new StringBuilder();
        text.AppendLine($"{report.Converter}: converted {report.Converted} of {report.Layers.Count} {(report.Layers.Any(l => l.Experts is not null) ? "weights" : "linears")}, skipped {report.Skipped}  [{report.Summary}]{Mark(report.Status)}");
        if (report.Layers.Count == 0) return text.ToString();
        var groups = report.Layers.GroupBy(l => (Fqn: BlockNumber().Replace(l.Fqn, ".*."), l.ShapeText, l.Recipe, l.SkippedBy, l.Backend, l.MeasuredSpeedUp));
        var rows = groups.Select(g => (
            Fqn: g.Count() > 1 ? $"{g.Key.Fqn} ({g.Count()})" : g.First().Fqn,
            Shape: g.Key.ShapeText,
            Outcome: g.Key.Recipe ?? "skipped",
            Why: g.Key.Recipe is null ? g.Key.SkippedBy! : g.Key.MeasuredSpeedUp is { } gain ? $"{g.Key.Backend}, measured {MeasuredFilter.Text(gain)}" : g.Key.Backend)).ToList();
        int first = rows.Max(r => r.Fqn.Length), second = rows.Max(r => r.Shape.Length), third = rows.Max(r => r.Outcome.Length);
        foreach (var row in rows)
            text.AppendLine($"  {row.Fqn.PadRight(first)}  {row.Shape.PadLeft(second)}  {row.Outcome.PadRight(third)}  {row.Why}");
        foreach (var note in report.Notes) text.AppendLine($"  note: {note}");
        return text.ToString();
    }

    private static string Mark(ExportStatus status) => status == ExportStatus.Stable ? "" : $" ({status.ToString().ToLowerInvariant()})";

    [GeneratedRegex(@"\.\d+\.")]
    private static partial Regex BlockNumber();
}
