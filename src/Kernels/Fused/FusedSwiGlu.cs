using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Kernels.ModelOps;
using static TorchSharp.torch;

namespace Titan.Kernels.Fused;

/// <summary><see cref="SwiGluKernel"/> with gradients. Kept for backward: a and b. All shapes alike. What is neither on the CPU nor a GPU, or in fp16, goes by ATen's operations.</summary>
public sealed class FusedSwiGlu : GuardedFunction
{
    private readonly bool wantsAmax;
    private readonly GradientAmax? offerA;
    private readonly GradientAmax? offerB;
    private Tensor? amax;

    private FusedSwiGlu(bool wantsAmax, GradientAmax? offerA, GradientAmax? offerB) => (this.wantsAmax, this.offerA, this.offerB) = (wantsAmax, offerA, offerB);

    /// <summary>silu(a) · b.</summary>
    public static Tensor Multiply(Tensor a, Tensor b) => Multiply(a, b, wantsAmax: false, null, null).Y;

    /// <summary>The same, with the magnitudes whose maximum is the amax of the result.</summary>
    /// <param name="a">[...].</param>
    /// <param name="b">As a.</param>
    /// <param name="wantsAmax">Whether they are wanted; they are null otherwise, and where ATen computes.</param>
    /// <param name="offerA">Told those of a's gradient in backward; null where nobody asks.</param>
    /// <param name="offerB">Told those of b's.</param>
    public static (Tensor Y, Tensor? Amax) Multiply(Tensor a, Tensor b, bool wantsAmax, GradientAmax? offerA, GradientAmax? offerB)
    {
        if (!a.Sizes().SequenceEqual(b.Sizes()) || a.dtype != b.dtype)
            throw new ArgumentException($"swiglu: {a.dtype} [{string.Join(", ", a.shape)}] and {b.dtype} [{string.Join(", ", b.shape)}]; expected two of one shape and dtype");
        if (SwiGluKernel.Covers(a))
        {
            var call = new FusedSwiGlu(wantsAmax, offerA, offerB);
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
        var result = SwiGluKernel.Backward(gradient, Saved(0), Saved(1), offerA is not null || offerB is not null);
        offerA?.Invoke(result.A, result.AmaxOfA!);
        offerB?.Invoke(result.B, result.AmaxOfB!);
        return [result.A, result.B];
    }
}
