using System.Text;
using Titan.Host.Jobs;
using System.Text.Json;
using Titan.Abstractions;
using Titan.Models;
using Titan.Quantization.Conversion;
using Titan.Training.Configuration;
using Titan.Training.Data;
using Titan.Training.Loop;
using Titan.Training.Models;
using Titan.Training.Parallel;
using static TorchSharp.torch;

namespace Titan.Host.Planning;

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

    /// <summary>Parameters that are trained; the others are frozen.</summary>
    public long Trainable { get; private init; }

    /// <summary>All parameters, those that converters added with them.</summary>
    public long Total { get; private init; }

    /// <summary>The plan for many ranks; null where none was asked for.</summary>
    public RankPlan? Ranks { get; init; }

    /// <summary>What will not fit, or will last: on this machine, or for many ranks on the GPU that was asked for.</summary>
    public IReadOnlyList<string> Warnings { get; private init; } = [];

    /// <summary>Plans the job of a session, and refuses what a run would.</summary>
    /// <param name="session">The job.</param>
    /// <param name="request">For how many ranks; null for the plan of one.</param>
    /// <exception cref="TitanException">Also when a converter would change nothing.</exception>
    public static Plan Of(JobSession session, WorldRequest? request = null)
    {
        var dimensions = MeshOf(session.Job.Config, request);
        var plan = Of(session.Job.Config, session.Models, session.Chosen, session.Parallelisms(dimensions), request);
        ModelBuilder.ThrowIfNothingConverted(plan.Reports, session.Chosen);
        return plan;
    }

    /// <summary>Plans a job.</summary>
    /// <param name="config">The job.</param>
    /// <param name="models">The families.</param>
    /// <param name="converters">Its converters.</param>
    /// <param name="parallelisms">What serves the dimensions of its mesh.</param>
    /// <param name="request">For how many ranks; null for the plan of one.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/> when the degrees do not fit the number of ranks, or a layer cannot be split.</exception>
    public static Plan Of(
        JobConfig config, ModelRegistry models, IReadOnlyList<(string Name, IModelConverter Converter, object Options)> converters, IReadOnlyList<JobParallelism> parallelisms, WorldRequest? request = null)
    {
        using var scope = NewDisposeScope();
        var dimensions = MeshOf(config, request);
        var own = PlannedModel.Of(config, models, converters, parallelisms, dimensions);
        var flavor = own.Flavor;
        List<ConversionReport> reports = [.. own.Conversions.Select(c => c.Report)];
        var decided = reports.SelectMany(r => r.Layers).GroupBy(l => l.Fqn).ToDictionary(g => g.Key, g => g.FirstOrDefault(l => l.Recipe is not null) ?? g.First());
        var linears = new ModelSlots(own.Model).Linears
            .Select(l => decided.GetValueOrDefault(l.Fqn) ?? new LayerConversion(l.Fqn, l.Linear.Shape, null, "no converter", "high precision")).ToList();
        var ranks = request is null ? null : RankPlan.Of(own, Planned(converters, false), WithFloat8Gathers(converters) is { } asking ? Planned(asking, true) : null, config, dimensions, request);
        var (all, trained) = ModelTotals.Of(ModelParameters.Of(own.Model));
        var wholeLogits = own.Parallelisms.VocabularyGroup is null;
        return new Plan($"{config.Model.Name}/{config.Model.Flavor}", flavor.Counts, flavor.Counts.FlopsPerToken(config.Training.SeqLen), linears, reports,
            MemoryOf(config, flavor.Counts, trained < all ? trained : flavor.Counts.Parameters, out var assumptions), assumptions) { Ranks = ranks, Warnings = WarningsOf(config, flavor.Counts, request is null ? new ParallelDimensions() : dimensions, request, wholeLogits), Trainable = trained, Total = all };

        PlannedModel Planned(IReadOnlyList<(string Name, IModelConverter Converter, object Options)> others, bool encodesWeights) =>
            PlannedModel.Of(config, models, others, parallelisms, dimensions, encodesWeights);
    }

    /// <summary>The mesh of a plan. It may be for more ranks than there are here: -1 means one.</summary>
    internal static ParallelDimensions MeshOf(JobConfig config, WorldRequest? request) => request is not null ? TrainingRanks.Resolve(config, request.World) : TrainingRanks.Least(config);

    /// <summary>For people.</summary>
    public string ToText()
    {
        var text = new StringBuilder();
        text.AppendLine($"model            {Model}");
        text.AppendLine($"parameters       {Counts.Parameters:N0} ({Counts.Parameters - Counts.EmbeddingParameters:N0} without the token embedding)");
        if (Counts.ActiveParameters < Counts.Parameters) text.AppendLine($"active           {Counts.ActiveParameters:N0} that a token meets");
        if (Trainable < Total || Total != Counts.Parameters) text.AppendLine($"trainable        {Trainable:N0} of {Total:N0}, with what converters added");
        text.AppendLine($"FLOPs per token  {FlopsPerToken:N0}");
        text.AppendLine($"linears          {Linears.Count}, converted {Linears.Count(l => l.Recipe is not null)}, skipped {Linears.Count(l => l.Recipe is null)}");
        if (Ranks is not null) text.Append(RankPlanText.Render(Ranks));
        else
        {
            text.AppendLine("memory on one rank");
            foreach (var (use, bytes) in Memory) text.AppendLine($"  {use,-14} {bytes / (double)(1L << 30),10:F2} GiB");
            foreach (var assumption in Assumptions) text.AppendLine($"  assumed: {assumption}");
        }

        foreach (var warning in Warnings) text.AppendLine($"  note: {warning}");
        foreach (var report in Reports) text.AppendLine().Append(ReportText.Render(report));
        return text.ToString();
    }

    /// <summary>For scripts.</summary>
    public string ToJson() => JsonSerializer.Serialize(
        new
        {
            model = Model,
            parameters = Counts.Parameters,
            active_parameters = Counts.ActiveParameters,
            trainable_parameters = Trainable,
            flops_per_token = FlopsPerToken,
            linears = new { total = Linears.Count, converted = Linears.Count(l => l.Recipe is not null), skipped = Linears.Count(l => l.Recipe is null) },
            layers = Linears.Select(l => l.Recipe is not null
                ? (object)new { fqn = l.Fqn, k = l.Shape.K, n = l.Shape.N, recipe = l.Recipe }
                : new { fqn = l.Fqn, k = l.Shape.K, n = l.Shape.N, skipped_by = l.SkippedBy }),
            memory = Memory,
            assumptions = Assumptions,
            ranks = Ranks is null ? null : RankPlanText.Json(Ranks),
            notes = Reports.SelectMany(r => r.Notes).Concat(Warnings),
        },
        Json);

    private static IReadOnlyList<string> WarningsOf(JobConfig config, ModelCounts counts, ParallelDimensions dimensions, WorldRequest? request, bool wholeLogits)
    {
        if (GradientAccumulation.Problem(config.Training, dimensions) is not null) return [];
        var needs = RunNeeds.Of(config, counts, dimensions, wholeLogits);
        var machine = request is null ? RankMachine.Here() : new RankMachine(request.Gpu.Name, double.PositiveInfinity, double.PositiveInfinity, request.Gpu.Float8);
        return [.. needs.Problem(machine, "on one rank alone") is { } problem ? new[] { problem } : [], .. needs.Warnings(machine)];
    }

    private static Dictionary<string, long> MemoryOf(JobConfig config, ModelCounts c, long trained, out IReadOnlyList<string> assumptions)
    {
        long parameterBytes = config.Training.Dtype == "float32" ? 4 : 2;
        var (activations, why) = ActivationMemory.Of(config, c);
        assumptions = [why, "one rank holds all parameters; float8 copies of weights live only within a layer"];
        var memory = new Dictionary<string, long>
        {
            ["weights"] = c.Parameters * parameterBytes, ["gradients"] = trained * parameterBytes, ["optimizer"] = 2 * trained * parameterBytes, ["activations"] = activations,
        };
        memory["total"] = memory.Values.Sum();
        return memory;
    }

    /// <summary>The converters as if each had been asked for float8 gathers; null where none can be.</summary>
    internal static List<(string Name, IModelConverter Converter, object Options)>? WithFloat8Gathers(IReadOnlyList<(string Name, IModelConverter Converter, object Options)> converters) =>
        converters.Any(c => c.Options is QuantizeOptions)
            ? [.. converters.Select(c => c.Options is QuantizeOptions o ? c with { Options = o with { Own = o.Own with { EnableFsdpFloat8AllGather = true } } } : c)]
            : null;
}
