using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Benchmarks;

/// <summary>A differentiable kernel of the model, and the chain of plain ATen operations that the model uses without <c>compile.enable</c>, on inputs that lie ready.</summary>
/// <param name="Leaves">The inputs that get gradients.</param>
/// <param name="Constants">The inputs that get none.</param>
/// <param name="ReadAgain">What backward must read beside its gradient: the rest of the model lies between, so no cache holds it from forward.</param>
/// <param name="Gradient">The gradient of the output.</param>
/// <param name="Plain">The chain.</param>
/// <param name="Fused">The kernel.</param>
/// <param name="Elements">Elements of the first leaf, where they are not those of the inputs' matrix.</param>
public sealed record ModelKernel(
    IReadOnlyList<Tensor> Leaves, IReadOnlyList<Tensor> Constants, IReadOnlyList<Tensor> ReadAgain, Tensor Gradient, Func<Tensor> Plain, Func<Tensor> Fused, long? Elements = null)
{
    /// <summary>The output alone.</summary>
    public KernelWork Forward => new([.. Leaves, .. Constants], () => [Plain()], () => [Fused()], Elements);

    /// <summary>The output, and the gradients of <see cref="Leaves"/>.</summary>
    public KernelWork ForwardAndBackward => new([.. Leaves, .. Constants, .. ReadAgain, Gradient], () => Differentiate(Plain), () => Differentiate(Fused), Elements);

    private IReadOnlyList<Tensor> Differentiate(Func<Tensor> run)
    {
        using var recorded = enable_grad();
        var y = run();
        try
        {
            return [y, .. autograd.grad([y], [.. Leaves], [Gradient])];
        }
        finally
        {
            // Says why a gradient is missing, which autograd does not know.
            BackwardFailure.ThrowIfAny();
        }
    }
}
