using System.Text.RegularExpressions;
using Titan.Host.Jobs;
using Titan.Abstractions;
using Titan.Quantization.Roofline;
using Titan.Training.Configuration;

namespace Titan.Host.Planning;

/// <summary>What a recipe gains for the linears of a job's model, by the roofline model.</summary>
/// <param name="Model">family/flavor.</param>
/// <param name="Recipe">The recipe.</param>
/// <param name="Gpu">The GPU.</param>
/// <param name="Tokens">M of one micro-batch on one rank.</param>
/// <param name="Fused">Whether casts are fused with the operation before.</param>
/// <param name="Layers">By shape and fate.</param>
/// <param name="Notes">What the reader must know.</param>
public sealed partial record Estimate(string Model, NamedRecipe Recipe, GpuSpec Gpu, long Tokens, bool Fused, IReadOnlyList<LayerEstimate> Layers, IReadOnlyList<string> Notes)
{
    /// <summary>Seconds of all linears in bf16, forward and backward.</summary>
    public double Bf16Seconds => Layers.Sum(l => l.Bf16Seconds);

    /// <summary>Seconds of all linears as the job runs them.</summary>
    public double Seconds => Layers.Sum(l => l.Seconds);

    /// <summary>The casts in <see cref="Seconds"/>.</summary>
    public double CastSeconds => Layers.Where(l => l.SkippedBy is null).Sum(l => l.Count * l.Estimate.CastSeconds);

    /// <summary>bf16 over the job, linears alone.</summary>
    public double SpeedUp => Bf16Seconds / Seconds;

    /// <summary>Estimates a job. Without a quantising converter in the job: every loaded recipe, as if it converted each layer that it can.</summary>
    /// <param name="session">The job and its plugins.</param>
    /// <param name="request">What the command was asked.</param>
    /// <param name="warn">Told of recipes that had to be left out.</param>
    /// <exception cref="TitanException">When no recipe is loaded.</exception>
    public static IReadOnlyList<Estimate> Of(JobSession session, EstimateRequest request, Action<string> warn)
    {
        var config = session.Job.Config;
        var converters = session.Chosen;
        var plan = Plan.Of(config with { Parallelism = new ParallelismSection() }, session.Models, converters, []);
        var chosen = NamedRecipe.OfJob(converters);
        var recipes = chosen.Count > 0 ? chosen : NamedRecipe.All(session, warn);
        if (recipes.Count == 0) throw new TitanException(ExitCode.Plugin, "no recipe is loaded, so there is nothing to estimate; 'titan plugin list' shows what was found");
        var tokens = request.Tokens ?? (long)config.Training.LocalBatchSize * config.Training.SeqLen / Math.Max(1, config.Parallelism.ContextParallelDegree);
        var fused = request.Fused ?? (config.Compile.Enable && config.Compile.Components.Contains("model"));
        return [.. recipes.Select(r => new Estimate(plan.Model, r, request.Gpu, tokens, fused, Group(plan, r, chosen.Count > 0, request.Gpu, tokens, fused), [.. NotesOf(config, r, chosen.Count > 0)]))];
    }

    private static List<LayerEstimate> Group(Plan plan, NamedRecipe recipe, bool ofJob, GpuSpec gpu, long tokens, bool fused)
    {
        string? SkippedBy(LayerConversion layer)
        {
            if (ofJob) return layer.Recipe == recipe.Name ? null : layer.SkippedBy ?? $"converted to {layer.Recipe}, which is not known here";
            var multiple = recipe.Recipe.RequiredMultiple;
            return layer.Shape.K % multiple == 0 && layer.Shape.N % multiple == 0 ? null : $"K and N must be multiples of {multiple}";
        }

        return [.. plan.Linears.GroupBy(l => (l.Shape, SkippedBy: SkippedBy(l))).Select(g => new LayerEstimate(
            Join([.. g.Select(l => BlockNumber().Replace(l.Fqn, ".*.")).Distinct()]), g.Count(),
            RooflineModel.Estimate(gpu, recipe.Recipe, tokens, g.Key.Shape, fused), g.Key.SkippedBy))];
    }

    private static IEnumerable<string> NotesOf(JobConfig config, NamedRecipe recipe, bool ofJob)
    {
        if (!ofJob) yield return $"the job has no quantising converter: this is {recipe.Name} with its defaults on every layer that it can convert";
        foreach (var note in RooflineModel.Notes(recipe.Recipe)) yield return note;
        if (config.Parallelism.TensorParallelDegree > 1)
            yield return $"tensor_parallel_degree = {config.Parallelism.TensorParallelDegree}: shapes are of whole weights; a rank's are smaller in K or N by this factor and gain less";
        if (config.ActivationCheckpoint.Mode != "none") yield return $"activation_checkpoint.mode = {config.ActivationCheckpoint.Mode}: what is computed again is not counted";
        yield return "linears only: attention, norms, activations, optimizer and communication take the same time as before and are not in it, so a whole step gains less";
    }

    /// <summary>Names in one text; one that shares its parent with the name before is shortened to its last part.</summary>
    private static string Join(IReadOnlyList<string> names) =>
        string.Join(", ", names.Select((name, i) => i > 0 && name.Contains('.') && Parent(name) == Parent(names[i - 1]) ? name[(name.LastIndexOf('.') + 1)..] : name));

    private static string Parent(string name) => name[..Math.Max(0, name.LastIndexOf('.'))];

    [GeneratedRegex(@"\.\d+\.")]
    private static partial Regex BlockNumber();
}
