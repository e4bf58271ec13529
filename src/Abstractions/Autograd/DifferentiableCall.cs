using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>
/// One call of a custom autograd function: an object that holds in its fields what the call was given, runs forward once, and backward at most once.
/// Derive from <see cref="GuardedFunction"/> for one output, or <see cref="GuardedMultiFunction"/> for several.
/// </summary>
public abstract class DifferentiableCall
{
    private AutogradNode? node;
    private bool[]? needs;

    /// <summary>The function's name in messages.</summary>
    public virtual string Name => GetType().Name;

    /// <summary>Whether backward will be asked for the gradient of an input. Valid in forward and in backward; false for all where no backward can follow.</summary>
    protected bool NeedsGradient(int input) => needs![input];

    /// <summary>Number of inputs. Valid in forward and in backward.</summary>
    protected int InputCount => needs!.Length;

    /// <summary>Whether backward can follow at all.</summary>
    protected bool BackwardFollows => node is not null;

    /// <summary>
    /// Keeps tensors until backward has run: inputs, outputs, or tensors made in forward. Nothing is kept where no backward can follow.
    /// Call it in forward, any number of times; the tensors may be disposed afterwards.
    /// </summary>
    protected void SaveForBackward(params ReadOnlySpan<Tensor> tensors)
    {
        if (node is null) return;
        foreach (var tensor in tensors) node.Save(tensor);
    }

    /// <summary>In backward: the tensor that was saved as number <paramref name="index"/>. Belongs to the scope of this backward.</summary>
    /// <exception cref="System.Runtime.InteropServices.ExternalException">It was written to in place since.</exception>
    protected Tensor Saved(int index) => node!.Unpack(index);

    /// <summary>In backward: as <see cref="Saved"/>, for the last time. The node lets go of the tensor, so that its memory is free once the caller has disposed it.</summary>
    protected Tensor TakeSaved(int index)
    {
        var tensor = node!.Unpack(index);
        node.Drop(index);
        return tensor;
    }

    /// <summary>Runs the call.</summary>
    /// <param name="inputs">The tensors that may receive gradients, and others that forward reads.</param>
    private protected Tensor[] Run(ReadOnlySpan<Tensor> inputs)
    {
        if (needs is not null) throw new InvalidOperationException($"{Name}: this call has run; make a new object for each call");
        return AutogradNode.Apply(this, inputs);
    }

    internal void Begin(AutogradNode? owner, bool[] gradients) => (node, needs) = (owner, gradients);

    internal abstract Tensor[] RunForward(Tensor[] inputs);

    internal abstract Tensor?[] RunBackward(Tensor?[] gradients);
}
