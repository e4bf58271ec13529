using System.Globalization;
using Titan.Host.Jobs;
using System.Text;
using Titan.Quantization.Roofline;

namespace Titan.Host.Planning;

/// <summary>Estimates for people: times in milliseconds of one layer, forward and backward.</summary>
internal static class EstimateText
{
    public static string Render(Estimate estimate)
    {
        var text = new StringBuilder();
        text.AppendLine($"{estimate.Recipe.Name} on {Describe(estimate.Gpu)}");
        text.AppendLine($"  [{estimate.Recipe.Recipe}]");
        text.AppendLine($"  {estimate.Model}, M = {estimate.Tokens:N0} tokens, casts {(estimate.Fused ? "fused with the operation before" : "not fused")}; milliseconds of one layer, forward and backward");
        text.Append(Table(
            ["layer", "K x N", "count", "bf16", "float8", "casts", "speed-up", "verdict"],
            [.. estimate.Layers.Select(l => (string[])[l.Fqns, l.Estimate.Shape.ToString(), l.Count.ToString(CultureInfo.InvariantCulture), .. Times(l.Estimate), l.Verdict])]));
        var all = estimate.Layers.Sum(l => l.Count);
        var converted = estimate.Layers.Where(l => l.SkippedBy is null).ToList();
        text.AppendLine($"  all {all} linears in bf16: {Ms(estimate.Bf16Seconds)} ms");
        text.AppendLine($"  {converted.Sum(l => l.Count)} of them in {estimate.Recipe.Name}: {Ms(estimate.Seconds)} ms, of which {Ms(estimate.CastSeconds)} ms casts");
        text.AppendLine($"  expected speed-up of the linears: {Factor(estimate.SpeedUp)}");
        var losing = converted.Where(l => !l.Estimate.Gains).ToList();
        if (losing.Count > 0)
            text.AppendLine($"  {losing.Sum(l => l.Count)} converted layers lose; left in bf16, by filter_fqns, the speed-up would be {Factor(estimate.Bf16Seconds / (estimate.Seconds - losing.Sum(l => l.Seconds - l.Bf16Seconds)))}");
        foreach (var note in estimate.Notes) text.AppendLine($"  note: {note}");
        return text.ToString();
    }

    public static string Render(NamedRecipe recipe, GpuSpec gpu, bool fused, IReadOnlyList<ShapeEstimate> shapes)
    {
        var text = new StringBuilder();
        text.AppendLine($"{recipe.Name} on {Describe(gpu)}");
        text.AppendLine($"  [{recipe.Recipe}]");
        text.AppendLine($"  casts {(fused ? "fused with the operation before" : "not fused")}; milliseconds of one layer, forward and backward");
        text.Append(Table(["M x K x N", "bf16", "float8", "casts", "speed-up", "verdict"], [.. shapes.Select(s => (string[])[$"{s.Estimate.Tokens} x {s.Estimate.Shape}", .. Times(s.Estimate), s.Verdict])]));
        foreach (var note in RooflineModel.Notes(recipe.Recipe)) text.AppendLine($"  note: {note}");
        return text.ToString();
    }

    /// <summary>The answer to <c>--gpu list</c>.</summary>
    public static string Gpus() => Table(
        ["name", "bf16 TFLOP/s", "float8 TFLOP/s", "TB/s", "reached: matmul", "memory", "source"],
        [.. GpuSpecs.All.Select(g => new[] { g.Name, Number(g.Bf16 / 1e12, "0.#"), Number(g.Float8 / 1e12, "0.#"), Number(g.Bandwidth / 1e12, "0.00"), Number(g.MatmulEfficiency, "0.00"), Number(g.BandwidthEfficiency, "0.00"), g.Note })]);

    private static string[] Times(LinearEstimate e) => [Ms(e.Bf16Seconds), Ms(e.MatmulSeconds), Ms(e.CastSeconds), Factor(e.SpeedUp)];

    private static string Describe(GpuSpec gpu) => $"{gpu.Name} ({Number(gpu.Bf16 / 1e12, "0.#")} TFLOP/s bf16, {Number(gpu.Float8 / 1e12, "0.#")} float8, {Number(gpu.Bandwidth / 1e12, "0.00")} TB/s)";

    private static string Ms(double seconds) => Number(seconds * 1e3, "0.000");

    private static string Factor(double factor) => Number(factor, "0.000") + "x";

    private static string Number(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);

    /// <summary>Text columns are first and last and stand left, numbers right.</summary>
    private static string Table(string[] head, IReadOnlyList<string[]> rows)
    {
        var widths = head.Select((h, i) => rows.Select(r => r[i].Length).Append(h.Length).Max()).ToArray();
        var text = new StringBuilder();
        foreach (var row in rows.Prepend(head))
            text.AppendLine(("  " + string.Join("  ", row.Select((cell, i) => i == 0 || i == head.Length - 1 ? cell.PadRight(widths[i]) : cell.PadLeft(widths[i])))).TrimEnd());
        return text.ToString();
    }
}
