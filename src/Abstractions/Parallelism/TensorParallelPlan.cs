using TorchSharp;

namespace Titan.Abstractions;

/// <summary>The style of one layer, or of one weight of a layer whose weights are split differently: experts.</summary>
/// <param name="Fqn">Fully qualified name of the layer, or of the weight.</param>
/// <param name="Style">Its style.</param>
public sealed record TensorParallelLayer(string Fqn, TensorParallelStyle Style);

/// <summary>A part of the model that sees the whole sequence; outside of it each rank holds a part.</summary>
/// <param name="Fqn">Fully qualified name.</param>
/// <param name="Boundary">Where the sequence is gathered and scattered.</param>
/// <param name="Readers">FQNs of the layers that read the gathered input.</param>
/// <param name="Writer">FQN of the rowwise layer whose partial sums are the output; null for the head, whose output stays split over the vocabulary.</param>
public sealed record SequenceRegion(string Fqn, IActivationBoundary Boundary, IReadOnlyList<string> Readers, string? Writer);

/// <summary>A model that says how tensor parallelism splits it.</summary>
public interface ITensorParallelModel
{
    /// <summary>The plan; every layer with a weight is in it.</summary>
    TensorParallelPlan TensorParallelPlan { get; }
}

/// <summary>How tensor parallelism with sequence parallelism splits a model (Shoeybi et al., 2019; Korthikanti et al., 2022).</summary>
/// <param name="Layers">Every layer with a weight.</param>
/// <param name="Table">The embedding: its output, partial sums, is scattered over the sequence.</param>
/// <param name="Regions">The parts that see the whole sequence.</param>
/// <param name="Divisible">What else must be divisible by the number of ranks, by name: heads, the sequence length.</param>
public sealed record TensorParallelPlan(
    IReadOnlyList<TensorParallelLayer> Layers, Embedding Table, IReadOnlyList<SequenceRegion> Regions, IReadOnlyList<(string Name, long Size)> Divisible)
{
    /// <summary>The plan with the layers that converters put inside the model's own (<see cref="LinearWrapper.SplitChildren"/>).</summary>
    /// <param name="model">The model, converted.</param>
    public TensorParallelPlan With(torch.nn.Module model)
    {
        var styles = Layers.ToDictionary(l => l.Fqn, l => l.Style);
        var added = from layer in ModelParameters.Layers(model)
                    where layer.Module is LinearWrapper && styles.ContainsKey(layer.Fqn)
                    from child in ((LinearWrapper)layer.Module).SplitChildren(styles[layer.Fqn])
                    select new TensorParallelLayer($"{layer.Fqn}.{child.Name}", child.Style);
        return this with { Layers = [.. Layers, .. added] };
    }

    /// <summary>Throws where a dimension cannot be split over the ranks. Needs no ranks: a plan is refused before a run starts.</summary>
    /// <param name="model">The model, converted.</param>
    /// <param name="dimensions">The tensor parallel degree, and whether it splits experts.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/>, naming layer, dimensions and degree; with <see cref="ExitCode.Plugin"/> for a layer that the plan does not know.</exception>
    public void Check(torch.nn.Module model, ParallelDimensions dimensions)
    {
        var ranks = dimensions.TensorParallel;
        foreach (var (name, size) in Divisible)
            if (size % ranks != 0) throw Refuse($"{name} = {size}", ranks, $"expected a multiple of {ranks}");
        var styles = Layers.ToDictionary(l => l.Fqn, l => l.Style);
        foreach (var (fqn, _, layer) in ModelParameters.Layers(model))
        {
            if (layer is IGroupedLayer experts)
            {
                CheckExperts(fqn, experts, styles, dimensions);
                continue;
            }

            if (!styles.Remove(fqn, out var style))
                throw new TitanException(ExitCode.Plugin, $"tensor parallel: layer '{fqn}' has a weight and is not in the model's plan; add it there (a converter's: LinearWrapper.SplitAdded), or set parallelism.tensor_parallel_degree = 1");
            Check(fqn, layer, style, ranks);
        }

        if (styles.Count > 0)
            throw new TitanException(ExitCode.Plugin, $"tensor parallel: the plan names layer '{styles.First().Key}', which gives no access to its weight (IWeightedLayer); a converter replaced it, or the plan is wrong");
    }

    /// <summary>The dimension of a weight that a style splits: of a matrix [N, K], or of a stack of them [E, N, K].</summary>
    public static int Dimension(TensorParallelStyle style, int rank) => style == TensorParallelStyle.Rowwise ? rank - 1 : rank - 2;

    private static void CheckExperts(string fqn, IGroupedLayer experts, Dictionary<string, TensorParallelStyle> styles, ParallelDimensions dimensions)
    {
        foreach (var slot in experts.Weights)
        {
            var name = $"{fqn}.{slot.Name}";
            if (!styles.Remove(name, out var style))
                throw new TitanException(ExitCode.Plugin, $"tensor parallel: weight '{name}' of experts is not in the model's plan; add it there, or set parallelism.tensor_parallel_degree = 1");
            if (!dimensions.SplitsExperts) continue;
            var shape = slot.Source.Layout.GlobalShape;
            var named = $"'{name}' ([{string.Join(", ", shape)}])";
            if (shape.Count != 3) throw Refuse($"{named} is no stack of matrices", dimensions.TensorParallel, "experts with biases are not served; set parallelism.expert_parallel_degree so that experts stay whole");
            var split = shape[Dimension(style, 3)];
            if (split % dimensions.TensorParallel != 0) throw Refuse($"{named} is split along {split}", dimensions.TensorParallel, $"expected a multiple of {dimensions.TensorParallel}");
            if (split / dimensions.TensorParallel % experts.Matmul.RequiredMultiple != 0)
                throw Refuse($"{named} leaves {split / dimensions.TensorParallel} of {split} per rank", dimensions.TensorParallel, $"its recipe needs multiples of {experts.Matmul.RequiredMultiple}; leave the layer out of fqns");
        }
    }

    private static void Check(string fqn, IWeightedLayer layer, TensorParallelStyle style, int ranks)
    {
        if (style == TensorParallelStyle.SequenceParallel) return;
        var split = style == TensorParallelStyle.Rowwise ? 1 : 0;
        var shape = layer.Weight.Layout.GlobalShape;
        var named = layer is ILinear { Shape: var whole } ? $"layer '{fqn}' ({whole})" : $"layer '{fqn}' ([{string.Join(", ", shape)}])";
        if (shape[split] % ranks != 0) throw Refuse($"{named} is split along {shape[split]} {(split == 0 ? "rows" : "columns")} of its weight", ranks, $"expected a multiple of {ranks}");
        if (layer.Weights.Count > 1) throw Refuse($"{named} has a {layer.Weights[1].Name}", ranks, $"layers with a {layer.Weights[1].Name} are not served");
        if (layer is not ILinear linear) return;
        var local = Local(linear.Shape, style, ranks);
        var multiple = linear.RequiredMultiple;
        if (local.K % multiple != 0 || local.N % multiple != 0)
            throw Refuse($"{named} leaves {local} per rank", ranks, $"its recipe needs multiples of {multiple}; skip the layer (filter_fqns)");
    }

    /// <summary>K x N of one rank's part.</summary>
    public static LinearShape Local(LinearShape whole, TensorParallelStyle style, int ranks) => style switch
    {
        TensorParallelStyle.Colwise => whole with { N = whole.N / ranks },
        TensorParallelStyle.Rowwise => whole with { K = whole.K / ranks },
        _ => whole,
    };

    private static TitanException Refuse(string what, int ranks, string expected) =>
        new(ExitCode.Usage, $"tensor parallel over {ranks} ranks: {what}; {expected}, or use another parallelism.tensor_parallel_degree");
}
