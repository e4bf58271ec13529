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
    private readonly List<string> notes = [];

    /// <inheritdoc />
    public IReadOnlyList<string> Notes => notes;

    /// <inheritdoc />
    public void Apply(ParallelizationContext context)
    {
        if (context.Model is not ITensorParallelModel model)
            throw new TitanException(ExitCode.Usage, $"model {context.Model.GetName()} gives no plan for tensor parallel (ITensorParallelModel); set parallelism.tensor_parallel_degree = 1");
        var group = context.Group;
        var plan = model.TensorParallelPlan;
        plan.Check(context.Model, group.Size);
        var layers = ModelParameters.Layers(context.Model).ToDictionary(l => l.Fqn);
        foreach (var (fqn, style) in plan.Layers) Split(layers[fqn].Module, layers[fqn].Layer, style, group);
        plan.Table.Part = plan.Table.Weight.Layout;
        plan.Table.AfterForward = x => SequenceScatter.Apply(x, group, null);
        var wire = new List<(string Region, string Text)>();
        foreach (var region in plan.Regions)
        {
            var input = CommonCodec(region.Readers.Select(r => layers[r].Layer));
            var gradient = region.Writer is { } writer ? (layers[writer].Layer as ILinear)?.GradientCodec : null;
            region.Boundary.BeforeForward = x => SequenceGather.Apply(x, group, input);
            if (region.Writer is not null) region.Boundary.AfterForward = x => SequenceScatter.Apply(x, group, gradient);
            else if (context.DisableLossParallel) region.Boundary.AfterForward = x => VocabularyGather.Apply(x, group);
            var back = region.Writer is null ? "" : $"; gradient: {Describe(gradient)}";
            wire.Add((region.Fqn.Split('.')[^1], $"input: {Describe(input)}{back}"));
        }

        notes.Add($"tensor parallel over {group.Size} ranks, sequence parallel between the layers; the loss is computed on {(context.DisableLossParallel ? "gathered logits" : "parts of the vocabulary")}");
        notes.AddRange(wire.GroupBy(w => w).Select(g => $"{g.Key.Region} ({g.Count()}), gathered {g.Key.Text}"));
    }

    /// <summary>The codec that all readers share; null where they differ, so that no bytes serve all of them.</summary>
    private static IActivationCodec? CommonCodec(IEnumerable<IWeightedLayer> readers)
    {
        var codecs = readers.Select(r => (r as ILinear)?.InputCodec).Distinct().ToList();
        return codecs.Count == 1 ? codecs[0] : null;
    }

    private static string Describe(IActivationCodec? codec) => codec?.Describe(forBackward: true) ?? "the compute dtype";

    /// <summary>Leaves this rank's part of a weight, still on the meta device.</summary>
    private static void Split(nn.Module module, IWeightedLayer layer, TensorParallelStyle style, IProcessGroup group)
    {
        var whole = layer.Weight;
        if (style == TensorParallelStyle.SequenceParallel)
        {
            ModelParameters.SetWeight(module, new SequenceParallelWeight(whole.Parameter, whole.Layout, whole.Copies * group.Size, group));
            return;
        }

        var dimension = style == TensorParallelStyle.Rowwise ? 1 : 0;
        var length = whole.Layout.Shape[dimension] / group.Size;
        var layout = whole.Layout.Narrow(dimension, group.Rank * length, length);
        using var none = no_grad();
        var part = new Parameter(empty([.. layout.Shape], dtype: whole.Parameter.dtype, device: whole.Parameter.device), whole.Parameter.requires_grad);
        if (layer is ILinear linear)
        {
            linear.Narrow(TensorParallelPlan.Local(linear.Shape, style, group.Size));
            ModelParameters.SetWeight(module, new SplitWeight(part, layout, whole.Copies, group));
        }
        else
        {
            ModelParameters.SetWeight(module, new ParameterSource(part, layout, whole.Copies));
        }
    }
}
