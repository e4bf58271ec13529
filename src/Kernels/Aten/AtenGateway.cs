using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Kernels.Aten;

/// <summary>The ATen operators that TorchSharp does not bind. Arguments are checked here, since libtorch's C ABI reports errors without text.</summary>
public static class AtenGateway
{
    /// <summary>
    /// One AdamW step over all parameters in one pass (<c>aten::_fused_adamw_</c>; Loshchilov and Hutter, 2019). All lists run in parallel; each parameter, its gradient
    /// and its moments have one shape, dtype and contiguous layout.
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
        CheckLists(parameters, gradients, averages, squares, steps);
        using var none = no_grad();
        new DispatcherCall(decoupled ? "aten::_fused_adamw_" : "aten::_fused_adam_")
            .Push(parameters).Push(gradients).Push(averages).Push(squares).Push(Array.Empty<Tensor>()).Push(steps)
            .Push(lr).Push(beta1).Push(beta2).Push(weightDecay).Push(epsilon).Push(false).Push(false).PushNone().PushNone()
            .Run();
    }

    /// <summary>RMSNorm over the last dimension (<c>aten::rms_norm</c>), differentiable. x [..., D], weight [D] of the same dtype.</summary>
    public static Tensor RmsNorm(Tensor x, Tensor weight, double epsilon)
    {
        if (x.dim() == 0 || weight.dim() != 1 || weight.Sizes()[0] != x.Sizes()[^1] || weight.dtype != x.dtype || weight.device_type != x.device_type)
            throw new ArgumentException($"rms_norm: weight {Describe(weight)} does not fit x {Describe(x)}; expected [D] of x's dtype and device");
        return new DispatcherCall("aten::rms_norm").Push(x).Push([x.Sizes()[^1]]).PushOptional(weight).PushOptional(epsilon).Tensor();
    }

    /// <summary>left · right of two bf16 or fp16 matrices with the sums in fp32, as the GPU's product has them (<c>aten::mm.dtype</c>, CUDA only); not differentiable.</summary>
    /// <param name="left">[R, I].</param>
    /// <param name="right">[I, C] of the same dtype.</param>
    /// <returns>[R, C] fp32.</returns>
    public static Tensor MatmulToFloat32(Tensor left, Tensor right)
    {
        if (left.dim() != 2 || right.dim() != 2 || left.Sizes()[1] != right.Sizes()[0] || left.dtype != right.dtype || left.dtype is not (ScalarType.BFloat16 or ScalarType.Float16))
            throw new ArgumentException($"mm to fp32: {Describe(left)} · {Describe(right)} do not fit; expected [R, I] · [I, C], both bf16 or both fp16");
        if (left.device_type != TorchSharp.DeviceType.CUDA || right.device_type != TorchSharp.DeviceType.CUDA)
            throw new ArgumentException($"mm to fp32: operands on {left.device} and {right.device}; expected CUDA");
        using var none = no_grad();
        return new DispatcherCall("aten::mm", "dtype").Push(left).Push(right).Push(ScalarType.Float32).Tensor();
    }

    /// <summary>target = left · right of two matrices (<c>aten::mm.out</c>), so that a part of a larger result is written where it belongs; not differentiable.</summary>
    /// <param name="left">[R, I].</param>
    /// <param name="right">[I, C] of the same dtype and device.</param>
    /// <param name="target">[R, C] likewise, rows next to each other; overwritten. Its memory is that of no operand.</param>
    public static void MatmulInto(Tensor left, Tensor right, Tensor target)
    {
        if (left.dim() != 2 || right.dim() != 2 || target.dim() != 2 || left.Sizes()[1] != right.Sizes()[0] || target.Sizes()[0] != left.Sizes()[0] || target.Sizes()[1] != right.Sizes()[1]
            || left.dtype != right.dtype || left.dtype != target.dtype || left.device_type != right.device_type || left.device_type != target.device_type || !target.is_contiguous())
            throw new ArgumentException($"mm: {Describe(left)} · {Describe(right)} to {Describe(target)} do not fit; expected [R, I] · [I, C] to a contiguous [R, C] of one dtype");
        using var none = no_grad();
        new DispatcherCall("aten::mm", "out").Push(left).Push(right).Push(target).Tensor().Dispose();
    }

    /// <summary>
    /// softmax(Q · Kᵀ / sqrt(D)) · V, differentiable, with fewer heads in K and V than in Q (<c>aten::scaled_dot_product_attention</c>; grouped-query attention, Ainslie et al., 2023).
    /// </summary>
    /// <param name="q">[B, H, S, D].</param>
    /// <param name="k">[B, KV, S, D]; H is a multiple of KV, and query head h reads head h / (H / KV).</param>
    /// <param name="v">[B, KV, S, D].</param>
    /// <param name="causal">Whether position i sees positions 0 to i only.</param>
    /// <returns>[B, H, S, D].</returns>
    public static Tensor ScaledDotProductAttention(Tensor q, Tensor k, Tensor v, bool causal)
    {
        ReadOnlySpan<long> a = q.Sizes(), b = k.Sizes();
        var fits = a.Length == 4 && b.Length == 4 && v.Sizes().SequenceEqual(b)
            && a[0] == b[0] && a[3] == b[3] && b[1] > 0 && a[1] % b[1] == 0 && (!causal || a[2] == b[2])
            && q.dtype == k.dtype && q.dtype == v.dtype && q.dtype is ScalarType.Float32 or ScalarType.BFloat16 or ScalarType.Float16
            && q.device_type == k.device_type && q.device_type == v.device_type;
        if (!fits)
            throw new ArgumentException(
                $"attention: q {Describe(q)}, k {Describe(k)}, v {Describe(v)} do not fit; expected [B, H, S, D] and twice [B, KV, S, D] of one floating dtype, H a multiple of KV");
        return new DispatcherCall("aten::scaled_dot_product_attention")
            .Push(q).Push(k).Push(v).PushNone().Push(0.0).Push(causal).PushNone().Push(a[1] != b[1]).Tensor();
    }

    /// <summary>
    /// The float8 matmul of the tensor cores, (a · b) * scaleA * scaleB (<c>aten::_scaled_mm</c>); not differentiable. On CUDA it needs SM89, I and C multiples of 16,
    /// a row-major and b column-major; the CPU has a slow form without those needs.
    /// </summary>
    /// <param name="a">[R, I] float8, contiguous.</param>
    /// <param name="b">[I, C] float8, the transpose of a contiguous [C, I].</param>
    /// <param name="scaleA">fp32: 0-d, or [R, 1] together with a [1, C] of b. What a is multiplied by to get its values: the reciprocal of the scale it was cast with.</param>
    /// <param name="scaleB">fp32: 0-d, or [1, C].</param>
    /// <param name="type">bf16, fp16 or fp32.</param>
    /// <param name="fastAccumulation">Let the tensor cores accumulate in their reduced precision.</param>
    /// <returns>[R, C].</returns>
    public static Tensor ScaledMm(Tensor a, Tensor b, Tensor scaleA, Tensor scaleB, ScalarType type, bool fastAccumulation = false)
    {
        if (a.dim() != 2 || b.dim() != 2 || a.Sizes()[1] != b.Sizes()[0] || !IsFloat8(a) || !IsFloat8(b) || (IsE5M2(a) && IsE5M2(b)))
            throw new ArgumentException($"scaled_mm: {Describe(a)} · {Describe(b)} do not fit; expected [R, I] · [I, C] in float8, at most one of them e5m2");
        if (!a.is_contiguous() || b.stride(0) != 1) throw new ArgumentException("scaled_mm: expected a row-major left and a column-major right operand");
        var rowwise = scaleA.numel() == a.Sizes()[0] && scaleB.numel() == b.Sizes()[1] && scaleA.dim() == 2 && scaleB.dim() == 2;
        if (scaleA.dtype != ScalarType.Float32 || scaleB.dtype != ScalarType.Float32 || !(rowwise || (scaleA.numel() == 1 && scaleB.numel() == 1)))
            throw new ArgumentException($"scaled_mm: scales {Describe(scaleA)} and {Describe(scaleB)} do not fit; expected fp32, both 0-d or [R, 1] and [1, C]");
        if (type is not (ScalarType.BFloat16 or ScalarType.Float16 or ScalarType.Float32)) throw new ArgumentException($"scaled_mm: cannot write {type}");
        if (a.device_type == TorchSharp.DeviceType.CUDA && (a.Sizes()[1] % 16 != 0 || b.Sizes()[1] % 16 != 0))
            throw new ArgumentException($"scaled_mm: {Describe(a)} · {Describe(b)}: inner and right outer dimension must be multiples of 16");
        using var none = no_grad();
        return new DispatcherCall("aten::_scaled_mm")
            .Push(a).Push(b).Push(scaleA).Push(scaleB).PushNone().PushNone().PushOptional(type).Push(fastAccumulation).Tensor();
    }

    /// <summary>
    /// The tensor cores' matmul of operands in blocks of 32 with e8m0 scales (<c>aten::_scaled_mm</c>); not differentiable. Needs SM100.
    /// </summary>
    /// <param name="a">[R, I] e4m3, contiguous, I a multiple of 32.</param>
    /// <param name="b">[I, C] e4m3, the transpose of a contiguous [C, I], C a multiple of 16.</param>
    /// <param name="scaleA">The scales of a's blocks, e8m0, swizzled and flat.</param>
    /// <param name="scaleB">The scales of b's blocks, likewise: rows are b's columns.</param>
    /// <returns>[R, C] bf16.</returns>
    public static Tensor ScaledMmBlocks(Tensor a, Tensor b, Tensor scaleA, Tensor scaleB)
    {
        if (a.dim() != 2 || b.dim() != 2 || a.Sizes()[1] != b.Sizes()[0] || a.dtype != Float8Format.E4M3.Type || b.dtype != Float8Format.E4M3.Type || a.Sizes()[1] % 32 != 0 || b.Sizes()[1] % 16 != 0)
            throw new ArgumentException($"scaled_mm: {Describe(a)} · {Describe(b)} do not fit; expected [R, I] · [I, C] in e4m3, I a multiple of 32, C of 16");
        if (!a.is_contiguous() || b.stride(0) != 1) throw new ArgumentException("scaled_mm: expected a row-major left and a column-major right operand");
        if (scaleA.dtype != Float8Format.E8M0.Type || scaleB.dtype != Float8Format.E8M0.Type || scaleA.numel() != Scales(a.Sizes()[0]) || scaleB.numel() != Scales(b.Sizes()[1]))
            throw new ArgumentException($"scaled_mm: scales {Describe(scaleA)} and {Describe(scaleB)} do not fit; expected e8m0 with {Scales(a.Sizes()[0])} and {Scales(b.Sizes()[1])} elements");
        using var none = no_grad();
        return new DispatcherCall("aten::_scaled_mm")
            .Push(a).Push(b).Push(scaleA).Push(scaleB).PushNone().PushNone().PushOptional(ScalarType.BFloat16).Push(false).Tensor();

        // Tiles of 128 rows and 4 blocks.
        long Scales(long rows) => (rows + 127) / 128 * 128 * ((a.Sizes()[1] / 32 + 3) / 4 * 4);
    }

    /// <summary>
    /// The tensor cores' bf16 product group by group (<c>aten::_grouped_mm</c>); not differentiable. On CUDA it needs SM90 and rows of 16 bytes; the offsets stay on the device. Rows of no group are left as they were in memory.
    /// </summary>
    /// <param name="left">[M, I] or [R, M] bf16, along rows or along columns.</param>
    /// <param name="right">[E, I, C] or [M, C] likewise.</param>
    /// <param name="ends">int32 [E] on the device.</param>
    /// <returns>[M, C] or [E, R, C] bf16.</returns>
    public static Tensor GroupedMm(Tensor left, Tensor right, Tensor ends)
    {
        CheckGroups("grouped_mm", left, right, ends);
        if (left.dtype != ScalarType.BFloat16 || right.dtype != ScalarType.BFloat16) throw new ArgumentException($"grouped_mm: {Describe(left)} · {Describe(right)}; expected bf16");
        using var none = no_grad();
        return new DispatcherCall("aten::_grouped_mm").Push(left).Push(right).PushOptional(ends).PushNone().PushNone().Tensor();
    }

    /// <summary>
    /// The same for float8 (<c>aten::_scaled_grouped_mm</c>): e4m3 with fp32 scales per row (SM90), or in blocks of 32 with e8m0 scales (SM100). left lies along rows, right along the contracted dimension.
    /// </summary>
    /// <param name="left">[M, I] or [R, M] e4m3.</param>
    /// <param name="right">[E, I, C] or [M, C] e4m3.</param>
    /// <param name="scaleLeft">fp32 [M], or group after group [E · R]: what the operand is multiplied by. Of blocks e8m0, swizzled group by group (<c>GroupSwizzle</c>).</param>
    /// <param name="scaleRight">fp32 [E, C], or [E · C]; of blocks e8m0 likewise.</param>
    /// <param name="ends">int32 [E] on the device.</param>
    /// <param name="fastAccumulation">Let the tensor cores accumulate in their reduced precision.</param>
    /// <returns>[M, C] or [E, R, C] bf16.</returns>
    public static Tensor ScaledGroupedMm(Tensor left, Tensor right, Tensor scaleLeft, Tensor scaleRight, Tensor ends, bool fastAccumulation)
    {
        CheckGroups("scaled_grouped_mm", left, right, ends);
        if (left.dtype != Float8Format.E4M3.Type || right.dtype != Float8Format.E4M3.Type) throw new ArgumentException($"scaled_grouped_mm: {Describe(left)} · {Describe(right)}; expected e4m3");
        if (left.Sizes()[1] % 16 != 0 || right.Sizes()[^1] % 16 != 0) throw new ArgumentException($"scaled_grouped_mm: {Describe(left)} · {Describe(right)}: inner and right outer dimension must be multiples of 16");
        if (left.stride(1) != 1 || right.stride(-2) != 1) throw new ArgumentException("scaled_grouped_mm: expected a row-major left and a column-major right operand");
        bool blocks = scaleLeft.dtype == Float8Format.E8M0.Type, byMatrix = right.dim() == 3;
        long e = ends.Sizes()[0], a = byMatrix ? left.Sizes()[0] : e * left.Sizes()[0], b = e * right.Sizes()[^1];
        if (scaleLeft.dtype != scaleRight.dtype || !blocks && (scaleLeft.dtype != ScalarType.Float32 || scaleLeft.numel() != a || scaleRight.numel() != b))
            throw new ArgumentException($"scaled_grouped_mm: scales {Describe(scaleLeft)} and {Describe(scaleRight)} do not fit; expected fp32 with {a} and {b} elements, or e8m0");
        using var none = no_grad();
        return new DispatcherCall("aten::_scaled_grouped_mm")
            .Push(left).Push(right).Push(scaleLeft).Push(scaleRight).PushOptional(ends).PushNone().PushNone().PushOptional(ScalarType.BFloat16).Push(fastAccumulation).Tensor();
    }

    private static void CheckGroups(string what, Tensor left, Tensor right, Tensor ends)
    {
        var fits = left.dim() == 2 && ends.dtype == ScalarType.Int32 && ends.dim() == 1
            && (right.dim() == 3 ? right.Sizes()[0] == ends.Sizes()[0] && right.Sizes()[1] == left.Sizes()[1] : right.dim() == 2 && right.Sizes()[0] == left.Sizes()[1]);
        if (!fits) throw new ArgumentException($"{what}: {Describe(left)} · {Describe(right)} in groups {Describe(ends)} do not fit; expected [M, I] · [E, I, C] or [R, M] · [M, C], and int32 [E]");
        if (left.device_type != right.device_type || left.device_type != ends.device_type) throw new ArgumentException($"{what}: operands on {left.device}, {right.device} and {ends.device}; expected one device");
    }

    /// <summary>The same bytes under another dtype of the same size. Shares memory with <paramref name="tensor"/>.</summary>
    public static Tensor ViewDtype(Tensor tensor, ScalarType type)
    {
        if (Size(type) != tensor.element_size()) throw new ArgumentException($"cannot view {tensor.dtype} as {type}: element sizes differ");
        if (Shim.ViewDtype(tensor.Handle, (int)type, out var view) != 0) throw new InvalidOperationException($"view of {tensor.dtype} as {type} failed");
        GC.KeepAlive(tensor);
        return Tensor.UnsafeCreateTensor(view);
    }

    /// <summary>How often the tensor's memory was written to in place since it was made (<c>aten::_version</c>), through this handle or any other.</summary>
    public static long Version(Tensor tensor) => new DispatcherCall("aten::_version").Push(tensor).Number();

    private static void CheckLists(
        IReadOnlyList<Tensor> parameters, IReadOnlyList<Tensor> gradients, IReadOnlyList<Tensor> averages, IReadOnlyList<Tensor> squares, IReadOnlyList<Tensor> steps)
    {
        var count = parameters.Count;
        if (gradients.Count != count || averages.Count != count || squares.Count != count || steps.Count != count)
            throw new ArgumentException(
                $"fused_adamw: {count} parameters, {gradients.Count} gradients, {averages.Count} averages, {squares.Count} squares, {steps.Count} steps; expected as many of each");
        for (var i = 0; i < count; i++)
        {
            var p = parameters[i];
            if (p.dtype is not (ScalarType.Float32 or ScalarType.BFloat16 or ScalarType.Float64 or ScalarType.Float16))
                throw new ArgumentException($"fused_adamw: parameter {i} is {Describe(p)}; expected a floating dtype");
            foreach (var other in (ReadOnlySpan<Tensor>)[gradients[i], averages[i], squares[i]])
            {
                if (!other.Sizes().SequenceEqual(p.Sizes()) || other.dtype != p.dtype || other.device_type != p.device_type)
                    throw new ArgumentException($"fused_adamw: parameter {i} is {Describe(p)}, its gradient or moment {Describe(other)}; expected the same");
                // The CPU kernel walks all of them by address: another layout would update the wrong elements.
                if (!other.is_contiguous()) throw new ArgumentException($"fused_adamw: a gradient or moment of parameter {i} {Describe(p)} is not contiguous");
            }

            if (!p.is_contiguous()) throw new ArgumentException($"fused_adamw: parameter {i} {Describe(p)} is not contiguous");
            if (steps[i].numel() != 1 || steps[i].dtype != ScalarType.Float32) throw new ArgumentException($"fused_adamw: step {i} is {Describe(steps[i])}; expected one fp32");
        }
    }

    private static bool IsFloat8(Tensor x) => (int)x.dtype is >= 23 and <= 26;

    private static bool IsE5M2(Tensor x) => x.dtype == Float8Format.E5M2.Type;

    private static string Describe(Tensor x) => $"{x.dtype} [{string.Join(", ", x.shape)}]";

    private static long Size(ScalarType type) => (int)type switch
    {
        0 or 1 or 11 or (>= 23 and <= 26) or 44 => 1,
        2 or 5 or 15 => 2,
        3 or 6 => 4,
        4 or 7 => 8,
        _ => throw new ArgumentException($"dtype {type} is not supported here"),
    };
}
