using static TorchSharp.torch;

namespace Titan.Kernels.Aten;

/// <summary>The ATen operators that TorchSharp does not bind. Arguments are checked here, since libtorch's C ABI reports errors without text.</summary>
public static class AtenGateway
{
    /// <summary>
    /// One AdamW step over all parameters in one pass (<c>aten::_fused_adamw_</c>; Loshchilov and Hutter, 2019). All lists run in parallel; tensors are fp32 and contiguous.
    /// </summary>
    /// <param name="parameters">Updated in place.</param>
    /// <param name="gradients">Their gradients.</param>
    /// <param name="averages">First moments, updated.</param>
    /// <param name="squares">Second moments, updated.</param>
    /// <param name="steps">0-d fp32 step counts, already increased for this step.</param>
    /// <param name="lr">Learning rate.</param>
    /// <param name="beta1">Decay of the first moment.</param>
    /// <param name="beta2">Decay of the second moment.</param>
    /// <param name="weightDecay">Decoupled weight decay.</param>
    /// <param name="epsilon">Added to the denominator.</param>
    /// <param name="decoupled">True for AdamW, false for Adam, whose weight decay is added to the gradient.</param>
    public static void FusedAdamW(
        IReadOnlyList<Tensor> parameters, IReadOnlyList<Tensor> gradients, IReadOnlyList<Tensor> averages, IReadOnlyList<Tensor> squares, IReadOnlyList<Tensor> steps,
        double lr, double beta1, double beta2, double weightDecay, double epsilon, bool decoupled = true)
    {
        for (var i = 0; i < parameters.Count; i++)
        {
            foreach (var other in new[] { gradients[i], averages[i], squares[i] })
                if (!other.shape.AsSpan().SequenceEqual(parameters[i].shape) || other.dtype != parameters[i].dtype)
                    throw new ArgumentException($"parameter {i}: expected {parameters[i].dtype} [{string.Join(", ", parameters[i].shape)}], got {other.dtype} [{string.Join(", ", other.shape)}]");
        }

        using var none = no_grad();
        new DispatcherCall(decoupled ? "aten::_fused_adamw_" : "aten::_fused_adam_")
            .Push(parameters).Push(gradients).Push(averages).Push(squares).Push(Array.Empty<Tensor>()).Push(steps)
            .Push(lr).Push(beta1).Push(beta2).Push(weightDecay).Push(epsilon).Push(false).Push(false).PushNone().PushNone()
            .Run();
    }

    /// <summary>RMSNorm over the last dimension (<c>aten::rms_norm</c>), differentiable. x [..., D], weight [D] of the same dtype.</summary>
    public static Tensor RmsNorm(Tensor x, Tensor weight, double epsilon)
    {
        if (weight.dim() != 1 || weight.shape[0] != x.shape[^1] || weight.dtype != x.dtype)
            throw new ArgumentException($"rms_norm: weight [{string.Join(", ", weight.shape)}] {weight.dtype} does not fit x [{string.Join(", ", x.shape)}] {x.dtype}");
        return new DispatcherCall("aten::rms_norm").Push(x).Push([x.shape[^1]]).PushOptional(weight).PushOptional(epsilon).Tensor();
    }

    /// <summary>The same bytes under another dtype of the same size. Shares memory with <paramref name="tensor"/>.</summary>
    public static Tensor ViewDtype(Tensor tensor, ScalarType type)
    {
        if (Size(type) != tensor.element_size()) throw new ArgumentException($"cannot view {tensor.dtype} as {type}: element sizes differ");
        if (Shim.ViewDtype(tensor.Handle, (int)type, out var view) != 0) throw new InvalidOperationException($"view of {tensor.dtype} as {type} failed");
        GC.KeepAlive(tensor);
        return Tensor.UnsafeCreateTensor(view);
    }

    private static long Size(ScalarType type) => (int)type switch
    {
        0 or 1 or 11 or (>= 23 and <= 26) or 44 => 1,
        2 or 5 or 15 => 2,
        3 or 6 => 4,
        4 or 7 => 8,
        _ => throw new ArgumentException($"dtype {type} is not supported here"),
    };
}
