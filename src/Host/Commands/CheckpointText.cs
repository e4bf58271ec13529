using System.Globalization;
using System.Text;
using Titan.Host.Plugins;
using Titan.Training.Conversion;

namespace Titan.Host.Commands;

/// <summary>A folder of weights, for people and for scripts.</summary>
internal static class CheckpointText
{
    /// <summary>For people.</summary>
    public static string Render(FolderSummary summary)
    {
        var text = new StringBuilder();
        Line($"format      {summary.Format}");
        if (summary.Model is var (family, flavor)) Line($"model       {family}/{flavor}");
        if (summary.Step is { } step) Line($"step        {step}");
        Line($"files       {summary.Files.Count}, {summary.Files.Sum(f => f.Bytes) / 1e6:N1} MB");
        foreach (var (name, bytes) in summary.Files) Line($"  {bytes,15:N0}  {name}");
        var weights = summary.Weights.ToList();
        Line($"weights     {weights.Select(t => t.Name).Distinct().Count()} tensors, {weights.Sum(t => t.Elements):N0} elements, {weights.Sum(t => t.Bytes) / 1e6:N1} MB: {ByType(weights)}");
        var width = weights.Select(t => t.Name.Length).DefaultIfEmpty().Max();
        foreach (var t in weights) Line($"  {t.Name.PadRight(width)}  {t.Dtype,-5} [{string.Join(", ", t.Whole)}]{(t.Whole.SequenceEqual(t.Part) ? "" : $", of which [{string.Join(", ", t.Part)}]")}  {t.File}");
        var others = summary.Tensors.Except(weights).ToList();
        if (others.Count > 0) Line($"besides     {others.Count} tensors, {others.Sum(t => t.Elements):N0} elements, {others.Sum(t => t.Bytes) / 1e6:N1} MB: {ByType(others)}");
        foreach (var problem in summary.Problems) Line($"problem     {problem}");
        return text.ToString();

        void Line(FormattableString line) => text.AppendLine(line.ToString(CultureInfo.InvariantCulture));
    }

    /// <summary>For scripts.</summary>
    public static string ToJson(FolderSummary summary) => PluginReport.ToJson(new
    {
        format = summary.Format,
        huggingFace = summary.IsHuggingFace,
        model = summary.Model is var (family, flavor) ? $"{family}/{flavor}" : null,
        summary.Step,
        files = summary.Files.Select(f => new { f.Name, f.Bytes }),
        tensors = summary.Tensors.Select(t => new { t.Name, t.Dtype, shape = t.Whole, part = t.Part, t.File }),
        elements = summary.Weights.Sum(t => t.Elements),
        summary.Problems,
    });

    private static string ByType(IEnumerable<TensorSummary> tensors) => string.Join(", ", tensors.GroupBy(t => t.Dtype).Select(g => $"{g.Count()} {g.Key}"));
}
