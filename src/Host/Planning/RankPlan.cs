using Titan.Abstractions;
using Titan.Models;
using Titan.Quantization.Linear;
using Titan.Quantization.Roofline;
using Titan.Training.Configuration;
using Titan.Training.Models;
using Titan.Training.Parallel;

namespace Titan.Host.Planning;

/// <summary>What <c>titan plan --world</c> was asked.</summary>
/// <param name="World">Number of ranks.</param>
/// <param name="Links">Their links.</param>
/// <param name="Gpu">The GPU whose matmuls hide communication.</param>
public sealed record WorldRequest(int World, Interconnect Links, GpuSpec Gpu);

/// <summary>A collective of a step and its time.</summary>
/// <param name="Traffic">What moves.</param>
/// <param name="Seconds">Modelled, of all calls of a step.</param>
/// <param name="Crosses">Whether it crosses between hosts.</param>
public sealed record CollectiveTime(CollectiveTraffic Traffic, double Seconds, bool Crosses);

/// <summary>The gathers of weights in one form, and the step that they make, in seconds.</summary>
/// <param name="Name">What travels.</param>
/// <param name="GatherBytes">Payload of the gathers of a step.</param>
/// <param name="GatherSeconds">Their time.</param>
/// <param name="Exposed">Linears and communication, one after the other.</param>
/// <param name="Hidden">The same, with the communication of data parallelism behind the linears as far as it fits.</param>
public sealed record GatherForm(string Name, long GatherBytes, double GatherSeconds, double Exposed, double Hidden);

/// <summary>The experts of a model on one rank.</summary>
/// <param name="Parameters">Those that the rank holds.</param>
/// <param name="Whole">Those of all experts.</param>
/// <param name="Bytes">Weights, gradients and optimizer states of those that it holds; part of the memory that is listed.</param>
public sealed record ExpertMemory(long Parameters, long Whole, long Bytes);

/// <summary>A job on so many ranks: one rank's memory, what it sends, and what float8 gathers gain.</summary>
/// <param name="Dimensions">The mesh.</param>
/// <param name="Request">The assumptions.</param>
/// <param name="Memory">Bytes by use, of the rank with most.</param>
/// <param name="Collectives">Of a step.</param>
/// <param name="ComputeSeconds">The linears of a step, forward and backward.</param>
/// <param name="Bf16">Gathers in the compute dtype.</param>
/// <param name="Float8">Gathers as the recipe's codecs encode them; null without a converter whose weights can travel encoded.</param>
/// <param name="Float8Asked">Whether the job asks for them.</param>
/// <param name="Notes">What the reader must know.</param>
public sealed record RankPlan(
    ParallelDimensions Dimensions, WorldRequest Request, IReadOnlyDictionary<string, long> Memory, IReadOnlyList<CollectiveTime> Collectives, double ComputeSeconds,
    GatherForm Bf16, GatherForm? Float8, bool Float8Asked, IReadOnlyList<string> Notes)
{
    /// <summary>The experts on a rank; null for a model without.</summary>
    public ExpertMemory? Experts { get; private init; }

    /// <summary>Plans from models that were built on the meta device.</summary>
    /// <param name="own">The job's model.</param>
    /// <param name="plain">The same as if every weight travelled in the compute dtype.</param>
    /// <param name="coded">The same with float8 gathers asked for; null where no converter offers them.</param>
    /// <param name="config">The job.</param>
    /// <param name="dimensions">The mesh.</param>
    /// <param name="request">The assumptions.</param>
    internal static RankPlan Of(PlannedModel own, PlannedModel plain, PlannedModel? coded, JobConfig config, ParallelDimensions dimensions, WorldRequest request)
    {
        var compute = Linears(own.Model, config, dimensions, request.Gpu) * own.Parallelisms.Step.MicroBatches;
        return new RankPlan(dimensions, request, MemoryOf(own, config, dimensions, out var notes),
            [.. own.Step.Traffic.Select(t => new CollectiveTime(t, request.Links.Seconds(t, dimensions), request.Links.Crosses(t, dimensions)))], compute,
            FormOf(ModelBuilder.TypeOf(config.Training.MixedPrecisionParam) == TorchSharp.torch.ScalarType.Float32 ? "fp32" : "bf16", plain), coded is { GathersEncoded: true } ? FormOf("float8", coded) : null,
            own.GathersEncoded, notes) { Experts = ExpertsOf(own.Model, config) };

        GatherForm FormOf(string name, PlannedModel model)
        {
            var traffic = model.Step.Traffic;
            double Time(Func<CollectiveTraffic, bool> which) => traffic.Where(which).Sum(t => request.Links.Seconds(t, dimensions));
            // What tp and ep exchange lies between two matmuls: nothing hides it.
            double tensor = Time(IsExposed), data = Time(t => !IsExposed(t));
            bool IsExposed(CollectiveTraffic t) => t.Group is "tp" or "ep";
            bool IsGather(CollectiveTraffic t) => t is { Group: "dp_shard" or "fsdp" or "dp_mod_ep", Verb: CollectiveTraffic.AllGather };
            return new GatherForm(name, traffic.Where(IsGather).Sum(t => t.PayloadBytes), Time(IsGather), compute + tensor + data, tensor + Math.Max(compute, data));
        }
    }

    private static double Linears(LanguageModel model, JobConfig config, ParallelDimensions dimensions, GpuSpec gpu)
    {
        var tokens = (long)config.Training.LocalBatchSize * config.Training.SeqLen / dimensions.ContextParallel;
        var fused = config.Compile.Enable && config.Compile.Components.Contains("model");
        return ModelParameters.Layers(model).Select(l => l.Layer).OfType<ILinear>().Sum(l => l is QuantizedLinear q
            ? RooflineModel.Estimate(gpu, q.Recipe, tokens, l.LocalShape, fused).RecipeSeconds
            : RooflineModel.Bf16Seconds(gpu, tokens, l.LocalShape));
    }

    private static ExpertMemory? ExpertsOf(LanguageModel model, JobConfig config)
    {
        var weights = ModelParameters.Weights(model).Where(w => w.Layer is IGroupedLayer).Select(w => w.Slot.Source).ToList();
        if (weights.Count == 0) return null;
        long size = config.Training.Dtype == "float32" ? 4 : 2, held = weights.Sum(w => w.Parameter.numel());
        return new ExpertMemory(held, weights.Sum(w => w.Layout.GlobalShape.Aggregate(1L, (a, b) => a * b)), size * weights.Sum(w => w.Parameter.numel() * (w.Parameter.requires_grad ? 4 : 1)));
    }

    /// <summary>Of the first rank; no rank has more.</summary>
    private static Dictionary<string, long> MemoryOf(PlannedModel own, JobConfig config, ParallelDimensions dimensions, out IReadOnlyList<string> notes)
    {
        long size = config.Training.Dtype == "float32" ? 4 : 2, elements = ModelParameters.Of(own.Model).Sum(p => p.Parameter.numel()), trained = ModelParameters.Of(own.Model).Where(p => p.Parameter.requires_grad).Sum(p => p.Parameter.numel());
        var (activations, why) = ActivationMemory.Of(config, own.Flavor.Counts, dimensions.TensorParallel, dimensions.ContextParallel, own.Parallelisms.VocabularyGroup is null);
        var memory = new Dictionary<string, long> { ["weights"] = elements * size, ["gradients"] = trained * size, ["optimizer"] = 2 * trained * size };
        var plans = own.Parallelisms.Plans.Select(p => p.Plan).ToList();
        foreach (var (name, bytes) in plans.SelectMany(p => p.Memory)) memory[name] = memory.GetValueOrDefault(name) + bytes;
        memory["activations"] = activations;
        memory["total"] = memory.Values.Sum();
        notes = [why, string.Join("; ", [.. plans.SelectMany(p => p.MemoryNotes).Distinct(), "casts within a layer and the allocator's own need are not counted"])];
        return memory;
    }
}
