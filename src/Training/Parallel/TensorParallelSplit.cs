using Titan.Abstractions;
using Titan.Models;

namespace Titan.Training.Parallel;

/// <summary>How tensor parallel splits a model, by the plan that the model gives.</summary>
/// <param name="Plan">The model's plan.</param>
/// <param name="Layers">The layers by FQN.</param>
/// <param name="Ranks">Ranks that share a layer.</param>
internal sealed record TensorParallelSplit(TensorParallelPlan Plan, IReadOnlyDictionary<string, IWeightedLayer> Layers, int Ranks)
{
    private readonly Dictionary<string, TensorParallelStyle> styles = Plan.Layers.ToDictionary(l => l.Fqn, l => l.Style);

    /// <summary>Tells the layers which part they will have; null for one rank.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/>, naming a layer that cannot be split.</exception>
    public static TensorParallelSplit? Of(LanguageModel model, int ranks)
    {
        if (ranks == 1) return null;
        if (model is not ITensorParallelModel { TensorParallelPlan: var plan })
            throw new TitanException(ExitCode.Usage, $"model {model.GetName()} gives no plan for tensor parallel (ITensorParallelModel); set parallelism.tensor_parallel_degree = 1");
        plan.Check(model, ranks);
        var layers = ModelParameters.Layers(model).ToDictionary(l => l.Fqn, l => l.Layer);
        foreach (var (fqn, style) in plan.Layers)
            if (layers[fqn] is ILinear linear) linear.Narrow(TensorParallelPlan.Local(linear.Shape, style, ranks));
        return new TensorParallelSplit(plan, layers, ranks);
    }

    public TensorParallelStyle StyleOf(string fqn) => styles[fqn];

    /// <summary>Shape of one rank's part of a layer's weight.</summary>
    public IReadOnlyList<long> ShapeOf(string fqn, IWeightedLayer layer)
    {
        long[] shape = [.. layer.Weight.Layout.GlobalShape];
        switch (styles[fqn])
        {
            case TensorParallelStyle.Colwise or TensorParallelStyle.VocabularyParallel:
                shape[0] /= Ranks;
                break;
            case TensorParallelStyle.Rowwise:
                shape[1] /= Ranks;
                break;
        }

        return shape;
    }
}
