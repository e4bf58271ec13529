using System.Text;
using System.Text.Json;
using Titan.Abstractions;
using Titan.Quantization.Conversion;
using Titan.Training.Configuration;
using Titan.Training.Loop;
using Titan.Training.Models;
using static TorchSharp.torch;

namespace Titan.Host.Jobs;

/// <summary>What a run would do, found out on the meta device: nothing is allocated.</summary>
/// <param name="Model">family/flavor.</param>
/// <param name="Counts">The model's numbers.</param>
/// <param name="FlopsPerToken">At the job's sequence length.</param>
/// <param name="Linears">Every linear layer with what becomes of it.</param>
/// <param name="Reports">What the converters would do.</param>
/// <param name="Memory">Bytes by use.</param>
/// <param name="Assumptions">What the estimate of activations rests on.</param>
public sealed record Plan(
    string Model, ModelCounts Counts, long FlopsPerToken, IReadOnlyList<LayerConversion> Linears, IReadOnlyList<ConversionReport> Reports,
    IReadOnlyDictionary<string, long> Memory, IReadOnlyList<string> Assumptions)
{
    private static readonly JsonSerializerOptions Json = new() { WriteIndented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Plans a job.</summary>
    public static Plan Of(JobConfig config, IReadOnlyList<(string Name, IModelConverter Converter, object Options)> converters)
    {
        using var scope = NewDisposeScope();
        var p = config.Parallelism;
        // A plan may be for more ranks than there are here: -1 means one.
        var dimensions = new ParallelDimensions(p.DataParallelReplicateDegree, Math.Max(1, p.DataParallelShardDegree), p.ContextParallelDegree, p.TensorParallelDegree, p.PipelineParallelDegree);
        var (model, flavor, reports) = ModelBuilder.Build(config, ModelRegistry.CreateDefault(), converters, dimensions, META, isPlan: true);
        var decided = reports.SelectMany(r => r.Layers).GroupBy(l => l.Fqn).ToDictionary(g => g.Key, g => g.FirstOrDefault(l => l.Recipe is not null) ?? g.First());
        var linears = new ModelSlots(model).Linears
            .Select(l => decided.GetValueOrDefault(l.Fqn) ?? new LayerConversion(l.Fqn, l.Linear.Shape, null, "no converter", "high precision")).ToList();
        return new Plan($"{config.Model.Name}/{config.Model.Flavor}", flavor.Counts, flavor.Counts.FlopsPerToken(config.Training.SeqLen), linears, reports,
            MemoryOf(config, flavor.Counts, out var assumptions), assumptions);
    }

    /// <summary>For people.</summary>
    public string ToText()
    {
        var text = new StringBuilder();
        text.AppendLine($"model            {Model}");
        text.AppendLine($"parameters       {Counts.Parameters:N0} ({Counts.Parameters - Counts.EmbeddingParameters:N0} without the token embedding)");
        text.AppendLine($"FLOPs per token  {FlopsPerToken:N0}");
        text.AppendLine($"linears          {Linears.Count}, converted {Linears.Count(l => l.Recipe is not null)}, skipped {Linears.Count(l => l.Recipe is null)}");
        text.AppendLine("memory on one rank");
        foreach (var (use, bytes) in Memory) text.AppendLine($"  {use,-14} {bytes / (double)(1L << 30),10:F2} GiB");
        foreach (var assumption in Assumptions) text.AppendLine($"  assumed: {assumption}");
        foreach (var report in Reports) text.AppendLine().Append(ReportText.Render(report));
        return text.ToString();
    }

    /// <summary>For scripts.</summary>
    public string ToJson() => JsonSerializer.Serialize(
        new
        {
            model = Model,
            parameters = Counts.Parameters,
            flops_per_token = FlopsPerToken,
            linears = new { total = Linears.Count, converted = Linears.Count(l => l.Recipe is not null), skipped = Linears.Count(l => l.Recipe is null) },
            layers = Linears.Select(l => l.Recipe is not null
                ? (object)new { fqn = l.Fqn, k = l.Shape.K, n = l.Shape.N, recipe = l.Recipe }
                : new { fqn = l.Fqn, k = l.Shape.K, n = l.Shape.N, skipped_by = l.SkippedBy }),
            memory = Memory,
            assumptions = Assumptions,
            notes = Reports.SelectMany(r => r.Notes),
        },
        Json);

    private static Dictionary<string, long> MemoryOf(JobConfig config, ModelCounts c, out IReadOnlyList<string> assumptions)
    {
        long parameterBytes = config.Training.Dtype == "float32" ? 4 : 2, computeBytes = config.Training.MixedPrecisionParam == "float32" ? 4 : 2;
        long tokens = (long)config.Training.LocalBatchSize * config.Training.SeqLen;
        long kv = (long)c.KvHeads * c.HeadDimension;
        // Kept by one block and token: the inputs of the norms (fp32), of the linears, q, k and v after RoPE, the attention's output, and w1, w3 and their product.
        var block = tokens * (2 * 4 * c.Dimension + computeBytes * (4 * c.Dimension + 2 * c.Heads * c.HeadDimension + 2 * kv + 4 * c.FeedForward));
        var input = tokens * computeBytes * c.Dimension;
        var every = config.ActivationCheckpoint is { Mode: "selective" } ac && int.TryParse(ac.SelectiveAcOption, out var n) ? n : 0;
        var (kept, why) = config.ActivationCheckpoint.Mode switch
        {
            "full" => (c.Layers * input + block, "only block inputs are kept, and one block that is computed again"),
            "selective" when config.ActivationCheckpoint.SelectiveAcOption == "op" => (c.Layers * (block - tokens * computeBytes * 4 * c.FeedForward) + block, "the feed-forward halves are computed again"),
            "selective" when every == 0 => (c.Layers * input + block, "every block is computed again"),
            "selective" => ((c.Layers - c.Layers / every) * block + c.Layers / every * input + block, $"every {every}. block is computed again"),
            _ => (c.Layers * block, "everything is kept"),
        };
        var logits = tokens * c.Vocabulary * (computeBytes + 2 * 4);
        assumptions =
        [
            $"activations: local batch {config.Training.LocalBatchSize} x {config.Training.SeqLen} tokens; {why}; attention keeps no score matrix; logits in {config.Training.MixedPrecisionParam} and twice in fp32",
            "one rank holds all parameters; float8 copies of weights live only within a layer",
        ];
        var memory = new Dictionary<string, long>
        {
            ["weights"] = c.Parameters * parameterBytes, ["gradients"] = c.Parameters * parameterBytes, ["optimizer"] = 2 * c.Parameters * parameterBytes, ["activations"] = kept + logits,
        };
        memory["total"] = memory.Values.Sum();
        return memory;
    }
}
