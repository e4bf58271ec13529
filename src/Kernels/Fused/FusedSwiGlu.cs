using Titan.Abstractions;
using Titan.Kernels.ModelOps;
using static TorchSharp.torch;

namespace Titan.Kernels.Fused;

/// <summary><see cref="SwiGluKernel"/> with gradients. Kept for backward: a and b. All shapes alike. What is neither on the CPU nor a GPU, or in fp16, goes by ATen's operations.</summary>
public sealed class FusedSwiGlu : GuardedFunction
{
    private readonly bool wantsAmax;
    private readonly GradientAmax? offer;
    private Tensor? amax;

    private FusedSwiGlu(bool wantsAmax, GradientAmax? offer) => (this.wantsAmax, this.offer) = (wantsAmax, offer);

    /// <summary>silu(a) · b.</summary>
    public static Tensor Multiply(Tensor a, Tensor b) => Multiply(a, b, wantsAmax: false, null).Y;

    /// <summary>The same, with the magnitudes whose maximum is the amax of the result.</summary>
    /// <param name="a">[...].</param>
    /// <param name="b">As a.</param>
    /// <param name="wantsAmax">Whether they are wanted; they are null otherwise, and where ATen computes.</param>
    /// <param name="offer">Told those of both gradients in backward; null where nobody asks.</param>
    public static (Tensor Y, Tensor? Amax) Multiply(Tensor a, Tensor b, bool wantsAmax, GradientAmax? offer)
    {
        if (!a.shape.AsSpan().SequenceEqual(b.shape) || a.dtype != b.dtype)
            throw new ArgumentException($"swiglu: {a.dtype} [{string.Join(", ", a.shape)}] and {b.dtype} [{string.Join(", ", b.shape)}]; expected two of one shape and dtype");
        if (SwiGluKernel.Covers(a))
        {
            var call = new FusedSwiGlu(wantsAmax, offer);
            var y = call.Apply(a, b);
            return (y, call.amax);
        }

        using var gate = nn.functional.silu(a);
        return (gate * b, null);
    }

    /// <inheritdoc />
    protected override Tensor Forward(Tensor[] inputs)
    {
        Tensor a = inputs[0].contiguous(), b = inputs[1].contiguous();
        SaveForBackward(a, b);
        var result = SwiGluKernel.Forward(a, b, wantsAmax);
        amax = result.Amax?.MoveToOuterDisposeScope();
        return result.Y;
    }

    /// <inheritdoc />
    protected override Tensor?[] Backward(Tensor gradient)
    {
        var result = SwiGluKernel.Backward(gradient, Saved(0), Saved(1), offer is not null);
        offer?.Invoke(result.A, result.AmaxOfA!);
        offer?.Invoke(result.B, result.AmaxOfB!);
        return [result.A, result.B];
    }
}
