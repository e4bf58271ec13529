using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Models;

/// <summary>The experts of a mixture, all alike.</summary>
public abstract record ExpertArgs
{
    /// <summary>The hidden dimension of one.</summary>
    public abstract long Hidden { get; init; }

    /// <summary>Parameters of one expert for a model dimension.</summary>
    public abstract long Parameters(long dimension);

    /// <summary>Makes them, uninitialised.</summary>
    /// <param name="experts">How many.</param>
    /// <param name="dimension">The model dimension.</param>
    /// <param name="context">Where, and of which dtype.</param>
    public abstract ExpertBank Create(int experts, long dimension, ModelContext context);
}

/// <summary>The experts of a mixture: stacked weights [E, N, K] and what each does to its rows.</summary>
public abstract class ExpertBank : nn.Module, IGroupedLayer, IKernelUser
{
    private readonly List<WeightSlot> weights = [];

    /// <summary>For derived classes.</summary>
    /// <param name="name">For messages.</param>
    protected ExpertBank(string name) : base(name) => Matmul = new HighPrecisionGroupedMatmul((left, right, groups, wide) => Kernels.GroupedMultiply(left, right, groups, wide));

    /// <inheritdoc />
    public IReadOnlyList<WeightSlot> Weights => weights;

    /// <inheritdoc />
    public IGroupedMatmul Matmul { get; set; }

    /// <inheritdoc />
    public IModelKernels Kernels { get; set; } = PlainModelKernels.Instance;

    /// <summary>How tensor parallelism splits the weights: colwise the rows of each matrix, rowwise its columns.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Usage"/> where it cannot.</exception>
    public virtual IReadOnlyList<(string Name, TensorParallelStyle Style)> Split =>
        throw new TitanException(ExitCode.Usage, $"experts of kind {GetName()} are not served by tensor parallelism; set parallelism.tensor_parallel_degree = 1");

    /// <summary>Runs each expert on its rows.</summary>
    /// <param name="rows">[M, D], sorted by expert.</param>
    /// <param name="groups">Divides M; as many groups as there are experts here.</param>
    /// <returns>[M, D] of the rows' dtype; of a row of no group anything.</returns>
    public Tensor Forward(Activation rows, RowGroups groups)
    {
        using var scope = NewDisposeScope();
        return Compute(rows, groups).MoveToOuterDisposeScope();
    }

    /// <summary>The arithmetic, in a dispose scope of its own.</summary>
    /// <param name="rows">[M, D].</param>
    /// <param name="groups">Divides M.</param>
    protected abstract Tensor Compute(Activation rows, RowGroups groups);

    /// <summary>Adds each expert's bias to its rows; differentiable.</summary>
    /// <param name="rows">[M, N].</param>
    /// <param name="groups">Divides M.</param>
    /// <param name="bias">[E, N].</param>
    protected Tensor WithBias(Tensor rows, RowGroups groups, WeightSlot bias) => GroupedBias.Add(rows, groups, bias.Source, Kernels);

    /// <summary>Adds a parameter.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="context">Where, and of which dtype.</param>
    /// <param name="shape">[E, ...].</param>
    protected WeightSlot Register(string name, ModelContext context, params long[] shape)
    {
        var parameter = new TorchSharp.Modules.Parameter(empty(shape, dtype: context.Type, device: context.Device));
        register_parameter(name, parameter);
        weights.Add(new WeightSlot(name, parameter));
        return weights[^1];
    }
}
