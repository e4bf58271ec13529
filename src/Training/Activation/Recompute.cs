using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Training.Activation;

/// <summary>
/// Activation checkpointing (Chen et al., 2016): runs a part of the model without keeping its activations and runs it again in backward.
/// Parameters receive their gradients from that second run directly.
/// </summary>
internal sealed class Recompute(Func<Tensor, Tensor> part) : GuardedFunction
{
    /// <summary>Runs <paramref name="part"/> on <paramref name="x"/>.</summary>
    /// <param name="part">The part; run once now and once in backward, so it must compute the same both times.</param>
    /// <param name="x">Its input. Must require a gradient, else backward would never reach the part.</param>
    public static Tensor Apply(Func<Tensor, Tensor> part, Tensor x) => new Recompute(part).Apply(x);

    protected override Tensor Forward(Tensor[] inputs)
    {
        SaveForBackward(inputs);
        return part(inputs[0]);
    }

    protected override Tensor?[] Backward(Tensor gradient)
    {
        using var enabled = enable_grad();
        var x = Saved(0).detach().requires_grad_(true);
        var y = part(x);
        y.backward([gradient]);
        BackwardFailure.ThrowIfAny();
        return [x.grad];
    }
}
