using Titan.Abstractions;
using Titan.Models;
using Titan.Quantization.Linear;
using Titan.Quantization.Roofline;
using Titan.Training.Configuration;
using Titan.Training.Loop;
using Titan.Training.Parallel;

namespace Titan.Host.Jobs;

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
    /// <summary>Plans from a model that was built on the meta device.</summary>
    /// <param name="model">The job's model.</param>
    /// <param name="encoded">The same model with float8 gathers asked for; null where no converter offers them.</param>
    /// <param name="counts">Its numbers.</param>
    /// <param name="config">The job.</param>
    /// <param name="dimensions">The mesh.</param>
    /// <param name="request">The assumptions.</param>
    internal static RankPlan Of(LanguageModel model, LanguageModel? encoded, ModelCounts counts, JobConfig config, ParallelDimensions dimensions, WorldRequest request)
    {
        var own = WirePlan.Of(model, config, dimensions);
        var plain = WirePlan.Of(model, config, dimensions, encodedWeights: false);
        var coded = encoded is null ? null : WirePlan.Of(encoded, config, dimensions);
        var compute = Linears(model, config, request.Gpu) * GradientAccumulation.Steps(config.Training, dimensions);
        var canGather = coded is not null && coded.Units.SelectMany(u => u.Weights).Any(w => w.Codec is not null);
        return new RankPlan(dimensions, request, MemoryOf(own, counts, config, dimensions, out var notes),
            [.. own.Collectives.Select(t => new CollectiveTime(t, request.Links.Seconds(t, dimensions), request.Links.Crosses(t, dimensions)))], compute,
            FormOf(ModelBuilder.TypeOf(config.Training.MixedPrecisionParam) == TorchSharp.torch.ScalarType.Float32 ? "fp32" : "bf16", plain), canGather ? FormOf("float8", coded!) : null,
            own.Units.SelectMany(u => u.Weights).Any(w => w.Codec is not null), notes);

        GatherForm FormOf(string name, WirePlan plan)
        {
            double Time(Func<CollectiveTraffic, bool> which) => plan.Collectives.Where(which).Sum(t => request.Links.Seconds(t, dimensions));
            // What TP exchanges lies between two matmuls: nothing hides it.
            double tensor = Time(t => t.Group == "tp"), data = Time(t => t.Group != "tp");
            bool IsGather(CollectiveTraffic t) => t is { Group: "dp_shard", Verb: CollectiveTraffic.AllGather };
            return new GatherForm(name, plan.Collectives.Where(IsGather).Sum(t => t.PayloadBytes), Time(IsGather), compute + tensor + data, tensor + Math.Max(compute, data));
        }
    }

    private static double Linears(LanguageModel model, JobConfig config, GpuSpec gpu)
    {
        var tokens = (long)config.Training.LocalBatchSize * config.Training.SeqLen;
        var fused = config.Compile.Enable && config.Compile.Components.Contains("model");
        return ModelParameters.Layers(model).Select(l => l.Layer).OfType<ILinear>().Sum(l => l is QuantizedLinear q
            ? RooflineModel.Estimate(gpu, q.Recipe, tokens, l.LocalShape, fused).RecipeSeconds
            : RooflineModel.Bf16Seconds(gpu, tokens, l.LocalShape));
    }

    private static Dictionary<string, long> MemoryOf(WirePlan plan, ModelCounts counts, JobConfig config, ParallelDimensions dimensions, out IReadOnlyList<string> notes)
    {
        var type = ModelBuilder.TypeOf(config.Training.MixedPrecisionParam);
        long size = config.Training.Dtype == "float32" ? 4 : 2, elements = plan.Units.SelectMany(u => u.Weights).Sum(w => w.OwnElements);
        var (activations, why) = ActivationMemory.Of(config, counts, dimensions.TensorParallel);
        var memory = new Dictionary<string, long> { ["weights"] = elements * size, ["gradients"] = elements * size, ["optimizer"] = 2 * elements * size };
        if (dimensions.DataParallelShard > 1)
        {
            memory["gathered"] = config.Parallelism.FsdpReshardAfterForward == "never"
                ? plan.Units.Sum(u => u.HeldBytes(type))
                : plan.Units.Zip(plan.Units.Skip(1)).Select(p => p.First.HeldBytes(type) + p.Second.HeldBytes(type)).DefaultIfEmpty(plan.Units.Sum(u => u.HeldBytes(type))).Max();
        }

        // One unit's gradients come in while those before are reduced.
        if (dimensions.Batch > 1) memory["reducing"] = 2 * 4 * plan.Units.Max(u => u.GradientElements);
        memory["activations"] = activations;
        memory["total"] = memory.Values.Sum();
        notes =
        [
            why,
            "gathered: two neighbouring units, or all with fsdp_reshard_after_forward = never; reducing: the fp32 gradients of two units; casts within a layer and the allocator's own need are not counted",
        ];
        return memory;
    }
}
