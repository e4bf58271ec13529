using TorchSharp.Modules;
using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.Parallelism;

/// <summary>
/// Tensor parallel with sequence parallel (Shoeybi et al., 2019; Korthikanti et al., 2022), by the plan that the model gives. Between layers that are split each rank holds a
/// part of the sequence: what they read is gathered once for all readers, what they give, partial sums, is reduce-scattered. Where the layers are converted, the gathers
/// move what their codecs make of the activations.
/// </summary>
[ExportParallelism(MeshAxis.TensorParallel, Status = ExportStatus.Alpha, Summary = "splits layers and the sequence over ranks by the model's plan; activations travel as the bytes that the matmuls take")]
public sealed class TensorParallel : IParallelism
{
    /// <inheritdoc />
    public Type OptionsType => typeof(TensorParallelOptions);

    /// <inheritdoc />
    public ParallelismPlan Plan(ParallelizationContext context)
    {
        var plan = PlanOf(context);
        var gathersLogits = ((TensorParallelOptions)context.Options).DisableLossParallel;
        var layers = ModelParameters.Layers(context.Model).ToDictionary(l => l.Fqn, l => l.Layer);
        var traffic = new SequenceTraffic(context.Group, context.Step, context.ParamType);
        var table = plan.Table.Weight.Layout.GlobalShape[1];
        traffic.Scatter(1, table, StepPhase.Forward);
        if (plan.Table.Weight.Parameter.requires_grad) traffic.Gather(1, table, null, forBackward: true, StepPhase.Backward);
        foreach (var region in plan.Regions) RegionExchange.Of(region, layers).Plan(traffic, gathersLogits, context.Step, IsTrained);
        // A norm sees a part of the sequence: its gradient is the sum over the parts.
        foreach (var (fqn, _) in plan.Layers.Where(l => l.Style == TensorParallelStyle.SequenceParallel))
            foreach (var weight in layers[fqn].Weights.Select(w => w.Source.Parameter).Where(p => p.requires_grad)) traffic.Reduce(weight.numel());
        return new ParallelismPlan(traffic.Collectives);

        // Itself, or what a converter put into it.
        bool IsTrained(string fqn) => layers.Any(l => (l.Key == fqn || l.Key.StartsWith(fqn + ".", StringComparison.Ordinal)) && l.Value.Weights.Any(w => w.Source.Parameter.requires_grad));
    }

    /// <inheritdoc />
    public IAppliedParallelism Apply(ParallelizationContext context)
    {
        var group = context.Group;
        var gathersLogits = ((TensorParallelOptions)context.Options).DisableLossParallel;
        var plan = PlanOf(context);
        var layers = ModelParameters.Layers(context.Model).ToDictionary(l => l.Fqn);
        var weights = ModelParameters.Weights(context.Model).Where(w => w.Layer is IGroupedLayer).ToDictionary(w => w.Fqn);
        foreach (var (fqn, style) in plan.Layers)
        {
            if (!weights.TryGetValue(fqn, out var expert)) Split(layers[fqn].Module, layers[fqn].Layer, style, group);
            else if (context.Dimensions.SplitsExperts) Split(expert.Module, expert.Slot, style, group);
        }

        plan.Table.Part = plan.Table.Weight.Layout;
        plan.Table.AfterForward = x => SequenceScatter.Apply(x, group, null);
        var weighted = layers.ToDictionary(l => l.Key, l => l.Value.Layer);
        var exchanges = plan.Regions.Select(r => RegionExchange.Of(r, weighted)).ToList();
        foreach (var exchange in exchanges) exchange.Attach(group, gathersLogits);
        return new SplitModel(
            [
                $"tensor parallel over {group.Size} ranks, sequence parallel between the layers; the loss is computed on {(gathersLogits ? "gathered logits" : "parts of the vocabulary")}",
                .. exchanges.Select(e => e.Description).GroupBy(d => d).Select(g => $"{g.Key.Region} ({g.Count()}), gathered {g.Key.Text}"),
            ],
            gathersLogits ? null : group);
    }

    private static TensorParallelPlan PlanOf(ParallelizationContext context)
    {
        if (context.Model is not ITensorParallelModel model)
            throw new TitanException(ExitCode.Usage, $"model {context.Model.GetName()} gives no plan for tensor parallel (ITensorParallelModel); set parallelism.tensor_parallel_degree = 1");
        var plan = model.TensorParallelPlan.With(context.Model);
        ModelParameters.ThrowIfOwnerless(context.Model, "tensor parallel");
        plan.Check(context.Model, context.Dimensions);
        return plan;
    }

    /// <summary>Leaves this rank's part of a layer's weights, still on the meta device.</summary>
    private static void Split(nn.Module module, IWeightedLayer layer, TensorParallelStyle style, IProcessGroup group)
    {
        var whole = layer.Weight;
        if (style == TensorParallelStyle.SequenceParallel)
        {
            foreach (var slot in layer.Weights)
                ModelParameters.SetWeight(module, slot, new SequenceParallelWeight(slot.Source.Parameter, slot.Source.Layout, slot.Source.Replicas * group.Size, group));
            return;
        }

        if (layer is ILinear linear)
        {
            linear.Narrow(TensorParallelPlan.Local(linear.Shape, style, group.Size));
            Split(module, layer.Weights[0], style, group);
        }
        else
        {
            var (part, layout) = PartOf(whole, style, group);
            ModelParameters.SetWeight(module, new ParameterSource(part, layout, whole.Replicas));
        }
    }

    /// <summary>The same of a weight that multiplies.</summary>
    private static void Split(nn.Module module, WeightSlot slot, TensorParallelStyle style, IProcessGroup group)
    {
        var (part, layout) = PartOf(slot.Source, style, group);
        ModelParameters.SetWeight(module, slot, new SplitWeight(part, layout, slot.Source.Replicas, group));
    }

    private static (Parameter Part, ShardLayout Layout) PartOf(IWeightSource whole, TensorParallelStyle style, IProcessGroup group)
    {
        var dimension = TensorParallelPlan.Dimension(style, whole.Layout.Shape.Count);
        var length = whole.Layout.Shape[dimension] / group.Size;
        var layout = whole.Layout.Narrow(dimension, group.Rank * length, length);
        using var none = no_grad();
        return (new Parameter(empty([.. layout.Shape], dtype: whole.Parameter.dtype, device: whole.Parameter.device), whole.Parameter.requires_grad), layout);
    }

    private sealed record SplitModel(IReadOnlyList<string> Notes, IProcessGroup? VocabularyGroup) : IAppliedParallelism;
}
