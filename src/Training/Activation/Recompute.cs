using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Training.Activation;

/// <summary>
/// Activation checkpointing (Chen et al., 2016): runs a part of the model without keeping its activations and runs it again in backward.
/// Parameters receive their gradients from that second run directly.
/// </summary>
internal sealed class Recompute : GuardedFunction<Recompute>
{
    /// <summary>Runs <paramref name="part"/> on <paramref name="x"/>.</summary>
    /// <param name="part">The part; run once now and once in backward, so it must compute the same both times.</param>
    /// <param name="x">Its input. Must require a gradient, else backward would never reach the part.</param>
    public static Tensor Apply(Func<Tensor, Tensor> part, Tensor x) => GuardedFunction<Recompute>.Apply(x, part);

    protected override Tensor Forward(autograd.AutogradContext context, object[] inputs)
    {
        var x = (Tensor)inputs[0];
        var part = (Func<Tensor, Tensor>)inputs[1];
        context.save_for_backward([x]);
        context.save_data("part", part);
        using var none = no_grad();
        return part(x);
    }

    protected override List<Tensor?> Backward(autograd.AutogradContext context, Tensor gradient)
    {
        var part = (Func<Tensor, Tensor>)context.get_data("part");
        using var scope = NewDisposeScope();
        using var enabled = enable_grad();
        var x = context.get_saved_variables()[0].detach().requires_grad_(true);
        var y = part(x);
        y.backward([gradient]);
        BackwardFailure.ThrowIfAny();
        return [x.grad?.MoveToOuterDisposeScope(), null];
    }
}
