using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>
/// A linear layer around another one, plain or converted, which keeps its parameters, their names, and the way in which its weight travels: the base of layers that add something,
/// for example low-rank adapters. What it adds is a child layer of its own (<see cref="Linear"/>), registered with <c>register_module</c>, so that parallelisms find its weight.
/// Put it into the model with <see cref="ModuleSlot.Wrap"/>.
/// </summary>
public abstract class LinearWrapper : nn.Module<Tensor, Tensor>, ILinear, IActivationLayer, IKernelUser
{
    private readonly nn.Module<Tensor, Tensor> module;

    /// <summary>Takes over the parameters of a layer.</summary>
    /// <param name="name">The type's name, for the module tree.</param>
    /// <param name="inner">The layer: an <see cref="ILinear"/>.</param>
    protected LinearWrapper(string name, nn.Module<Tensor, Tensor> inner) : base(name)
    {
        // In a private field and not registered: its parameters are registered here, under the names that they had.
        (module, Inner) = (inner, (ILinear)inner);
        foreach (var weight in Inner.Weights) register_parameter(weight.Name, weight.Source.Parameter);
        // What a wrapper inside added is found here.
        foreach (var (child, added) in inner.named_children()) register_module(child, added);
    }

    /// <summary>The layer.</summary>
    protected ILinear Inner { get; }

    /// <inheritdoc />
    public LinearShape Shape => Inner.Shape;

    /// <inheritdoc />
    public LinearShape LocalShape => Inner.LocalShape;

    /// <inheritdoc />
    public IReadOnlyList<WeightSlot> Weights => Inner.Weights;

    /// <inheritdoc />
    public IShardCodec? WeightCodec => Inner.WeightCodec;

    /// <inheritdoc />
    public int RequiredMultiple => Inner.RequiredMultiple;

    /// <inheritdoc />
    public IModelKernels Kernels
    {
        get => (module as IKernelUser)?.Kernels ?? PlainModelKernels.Instance;
        set
        {
            if (module is IKernelUser user) user.Kernels = value;
        }
    }

    /// <inheritdoc />
    public bool WantsInputAmax => module is IActivationLayer { WantsInputAmax: true };

    /// <inheritdoc />
    public void Narrow(LinearShape local) => Inner.Narrow(local);

    /// <summary>How tensor parallelism splits the layers that wrappers added, by their names in this module.</summary>
    /// <param name="own">How it splits the layer inside. Colwise: the input is whole on every rank, the output a part of the features. Rowwise: the input is a part of the features, the output a partial sum.</param>
    public IReadOnlyList<(string Name, TensorParallelStyle Style)> SplitChildren(TensorParallelStyle own) => [.. (module as LinearWrapper)?.SplitChildren(own) ?? [], .. SplitAdded(own)];

    /// <summary>
    /// The same for the layers that this wrapper adds; none, and tensor parallelism is refused by their names. A layer that every rank has all of, and whose gradients are summed over
    /// the ranks, is <see cref="TensorParallelStyle.SequenceParallel"/>.
    /// </summary>
    protected virtual IReadOnlyList<(string Name, TensorParallelStyle Style)> SplitAdded(TensorParallelStyle own) => [];

    /// <summary>Runs the layer and what is added to it.</summary>
    /// <param name="x">[..., K].</param>
    /// <returns>[..., N] of x's dtype.</returns>
    public override Tensor forward(Tensor x)
    {
        using var input = new Activation(x);
        return Forward(input).Values;
    }

    /// <inheritdoc />
    public abstract Activation Forward(Activation x);

    /// <summary>Runs the layer inside.</summary>
    /// <returns>[..., N]. What it knows of its output's gradient does not hold for a sum: give on an activation of your own.</returns>
    protected Tensor RunInner(Activation x) => module is IActivationLayer layer ? layer.Forward(x).Values : module.call(x.Values);
}
