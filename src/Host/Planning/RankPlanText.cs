using System.Globalization;
using System.Text;
using Titan.Abstractions;
using Titan.Training.Parallel;

namespace Titan.Host.Planning;

/// <summary>A plan for many ranks, for people and for scripts.</summary>
internal static class RankPlanText
{
    public static string Render(RankPlan plan)
    {
        var d = plan.Dimensions;
        var links = plan.Request.Links;
        var text = new StringBuilder();
        var others = string.Concat(Others.Where(a => d[a] > 1).Select(a => $" x {a.Name()} {d[a]}"));
        text.AppendLine(Text($"ranks            {d.World}: dp_replicate {d.DataParallelReplicate} x dp_shard {d.DataParallelShard} x tp {d.TensorParallel}{others}"));
        text.AppendLine("memory on each rank");
        foreach (var (use, bytes) in plan.Memory) text.AppendLine(Text($"  {use,-15} {bytes / (double)(1L << 30),9:F2} GiB"));
        if (plan.Experts is { } experts)
            text.AppendLine(Text($"experts          {experts.Parameters:N0} of their {experts.Whole:N0} parameters on each rank: {experts.Bytes / (double)(1L << 30):F2} GiB of weights, gradients and optimizer"));
        if (plan.Collectives.Count > 0)
        {
            text.AppendLine("on the wire, per step and rank        calls      payload       sent      time");
            foreach (var (t, seconds, crosses) in plan.Collectives)
                text.AppendLine(Text($"  {t.Group,-12} {t.Verb,-22} {t.Calls,5} {Bytes(t.PayloadBytes),12} {Bytes(t.WireBytes),10} {Time(seconds),9}  {(crosses ? "between hosts" : "within a host")}"));
            text.AppendLine(Text($"linears          {Time(plan.ComputeSeconds)} per step on {plan.Request.Gpu.Name}, by the roofline model, without recomputation"));
        }

        if (d.FullyShard > 1)
        {
            text.AppendLine("gathers of weights      payload      time     step, one after the other    step, hidden");
            foreach (var form in new[] { plan.Bf16, plan.Float8 })
                if (form is not null) text.AppendLine(Text($"  {form.Name,-16} {Bytes(form.GatherBytes),12} {Time(form.GatherSeconds),9} {Time(form.Exposed),29} {Time(form.Hidden),15}"));
            if (plan.Float8 is { } float8)
            {
                text.AppendLine(Text($"float8 gathers   {100.0 * float8.GatherBytes / plan.Bf16.GatherBytes:F1} % of the bytes; step {plan.Bf16.Exposed / float8.Exposed:F3}x as fast when nothing is hidden, {plan.Bf16.Hidden / float8.Hidden:F3}x when all is"));
                text.AppendLine(plan.Float8Asked ? "                 the job asks for them" : "                 the job does not ask for them: set enable_fsdp_float8_all_gather = true in the converter's section");
            }
        }

        text.AppendLine(Text($"  assumed: {links.RanksPerHost} ranks per host; per rank and direction {links.Intra / 1e9:0.###} GB/s within a host, {links.Inter / 1e9:0.###} GB/s between hosts; no latency (--ranks-per-host, --intra-bandwidth, --inter-bandwidth)"));
        foreach (var note in plan.Notes) text.AppendLine($"  assumed: {note}");
        return text.ToString();
    }

    /// <summary>For <see cref="System.Text.Json"/>.</summary>
    public static object Json(RankPlan plan) => new
    {
        world = plan.Dimensions.World,
        dp_replicate = plan.Dimensions.DataParallelReplicate,
        dp_shard = plan.Dimensions.DataParallelShard,
        cp = plan.Dimensions.ContextParallel,
        tp = plan.Dimensions.TensorParallel,
        pp = plan.Dimensions.PipelineParallel,
        ep = plan.Dimensions.ExpertParallel,
        etp = plan.Dimensions.ExpertTensorParallel,
        memory = plan.Memory,
        experts = plan.Experts is { } e ? new { parameters = e.Parameters, of = e.Whole, bytes = e.Bytes } : null,
        collectives = plan.Collectives.Select(c => new
        {
            group = c.Traffic.Group, verb = c.Traffic.Verb, ranks = c.Traffic.Size, calls = c.Traffic.Calls, payload_bytes = c.Traffic.PayloadBytes, wire_bytes = c.Traffic.WireBytes,
            seconds = c.Seconds, between_hosts = c.Crosses,
        }),
        linears_s = plan.ComputeSeconds,
        gathers = new { bf16 = Json(plan.Bf16), float8 = plan.Float8 is { } f ? Json(f) : null, float8_asked = plan.Float8Asked },
        assumed = new
        {
            gpu = plan.Request.Gpu.Name, ranks_per_host = plan.Request.Links.RanksPerHost, intra_bandwidth_gb_s = plan.Request.Links.Intra / 1e9,
            inter_bandwidth_gb_s = plan.Request.Links.Inter / 1e9, notes = plan.Notes,
        },
    };

    private static readonly MeshAxis[] Others =
        [MeshAxis.ContextParallel, MeshAxis.PipelineParallel, MeshAxis.ExpertParallel, MeshAxis.ExpertTensorParallel];

    private static object Json(GatherForm form) =>
        new { travels = form.Name, payload_bytes = form.GatherBytes, seconds = form.GatherSeconds, step_exposed_s = form.Exposed, step_hidden_s = form.Hidden };

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    private static string Bytes(long bytes) => bytes switch
    {
        >= 1L << 30 => Text($"{bytes / (double)(1L << 30):F2} GiB"),
        >= 1L << 20 => Text($"{bytes / (double)(1L << 20):F2} MiB"),
        >= 1L << 10 => Text($"{bytes / (double)(1L << 10):F2} KiB"),
        _ => Text($"{bytes} B"),
    };

    private static string Time(double seconds) => seconds switch { >= 1 => Text($"{seconds:F2} s"), >= 1e-3 => Text($"{seconds * 1e3:F1} ms"), _ => Text($"{seconds * 1e6:F1} us") };
}
