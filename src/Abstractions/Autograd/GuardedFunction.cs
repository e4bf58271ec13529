using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>
/// Base of custom autograd functions with one output. An exception that leaves a C# backward crosses native code and kills the process: it is caught and kept for the trainer
/// (<see cref="BackwardFailure"/>), and no gradients are returned. Temporaries of forward and backward go with a dispose scope around each, on whichever thread they run.
/// <code>
/// sealed class Scaled(double factor) : GuardedFunction
/// {
///     public static Tensor Of(Tensor x, double factor) => new Scaled(factor).Apply(x);
///     protected override Tensor Forward(Tensor[] inputs) => inputs[0] * factor;
///     protected override Tensor?[] Backward(Tensor gradient) => [gradient * factor];
/// }
/// </code>
/// </summary>
public abstract class GuardedFunction : DifferentiableCall
{
    /// <summary>Runs the call.</summary>
    /// <param name="inputs">The tensors that may receive gradients, and others that forward reads.</param>
    /// <returns>The output, in the dispose scope of the caller.</returns>
    protected Tensor Apply(params ReadOnlySpan<Tensor> inputs) => Run(inputs)[0];

    /// <summary>Computes the output, under no_grad.</summary>
    protected abstract Tensor Forward(Tensor[] inputs);

    /// <summary>Computes one gradient per input, null for those that have none, under no_grad.</summary>
    /// <param name="gradient">That of the output.</param>
    protected abstract Tensor?[] Backward(Tensor gradient);

    internal sealed override Tensor[] RunForward(Tensor[] inputs) => [Forward(inputs)];

    internal sealed override Tensor?[] RunBackward(Tensor?[] gradients) => Backward(gradients[0]!);
}

/// <summary>Base of custom autograd functions with several outputs; otherwise as <see cref="GuardedFunction"/>.</summary>
public abstract class GuardedMultiFunction : DifferentiableCall
{
    /// <summary>Runs the call.</summary>
    /// <param name="inputs">The tensors that may receive gradients, and others that forward reads.</param>
    /// <returns>The outputs, in the dispose scope of the caller.</returns>
    protected Tensor[] Apply(params ReadOnlySpan<Tensor> inputs) => Run(inputs);

    /// <summary>Computes the outputs, under no_grad.</summary>
    protected abstract Tensor[] Forward(Tensor[] inputs);

    /// <summary>Computes one gradient per input, null for those that have none, under no_grad.</summary>
    /// <param name="gradients">Those of the outputs, at least one not null; null for an output that did not reach the loss.</param>
    protected abstract Tensor?[] Backward(Tensor?[] gradients);

    internal sealed override Tensor[] RunForward(Tensor[] inputs) => Forward(inputs);

    internal sealed override Tensor?[] RunBackward(Tensor?[] gradients) => Backward(gradients);
}
