using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Models;

/// <summary>
/// Activation checkpointing (Chen et al., 2016): runs a part of the model without keeping its activations and runs it again in backward.
/// Parameters receive their gradients from that second run directly.
/// </summary>
public sealed class Recompute(Func<Tensor[], Tensor[]> part) : GuardedMultiFunction
{
    /// <summary>Runs <paramref name="part"/> on <paramref name="inputs"/>.</summary>
    /// <param name="part">The part; run once now and once in backward, so it must compute the same both times.</param>
    /// <param name="inputs">Its inputs. Where none requires a gradient, because all parameters before the part are frozen, the part runs as it is: backward would not come back to compute it again.</param>
    public static Tensor[] Apply(Func<Tensor[], Tensor[]> part, params ReadOnlySpan<Tensor> inputs)
    {
        var reaches = !is_grad_enabled();
        foreach (var input in inputs) reaches |= input.requires_grad;
        return reaches ? new Recompute(part).Apply(inputs) : part(inputs.ToArray());
    }

    /// <inheritdoc />
    protected override Tensor[] Forward(Tensor[] inputs)
    {
        SaveForBackward(inputs);
        return part(inputs);
    }

    /// <inheritdoc />
    protected override Tensor?[] Backward(Tensor?[] gradients)
    {
        using var enabled = enable_grad();
        var inputs = Enumerable.Range(0, InputCount).Select(i => Saved(i).detach().requires_grad_(NeedsGradient(i))).ToArray();
        var outputs = part(inputs).Zip(gradients).Where(o => o.Second is not null).ToList();
        autograd.backward([.. outputs.Select(o => o.First)], [.. outputs.Select(o => o.Second!)]);
        BackwardFailure.ThrowIfAny();
        return [.. inputs.Select(i => i.grad)];
    }
}
