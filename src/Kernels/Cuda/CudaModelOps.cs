using Titan.Abstractions;
using Titan.Kernels.Aten;
using static TorchSharp.torch;

namespace Titan.Kernels.Cuda;

/// <summary>The fused operations of a model on CUDA, forward and backward apart. fp32 inside, rounded once at the end. Not differentiable by themselves.</summary>
public sealed class CudaModelOps
{
    private static readonly Lazy<CudaModelOps> Instance = new(Create);

    private readonly IKernelLauncher launcher;

    internal CudaModelOps(IKernelLauncher launcher) => this.launcher = launcher;

    /// <summary>The kernels on this machine's GPUs.</summary>
    /// <exception cref="TitanException">There is no NVIDIA driver or no libnvrtc.</exception>
    public static CudaModelOps Create() => new(CudaKernels.Launcher);

    /// <summary>The process's own.</summary>
    internal static CudaModelOps Shared => Instance.Value;

    /// <summary>y = x / sqrt(mean(x²) + eps) · w over the last dimension, of x or of x + residual.</summary>
    /// <param name="x">[..., D] fp32 or bf16.</param>
    /// <param name="residual">As x; null for none. The sum is rounded to x's dtype before it is normalised.</param>
    /// <param name="w">[D] of x's dtype.</param>
    /// <param name="epsilon">Added to the mean square.</param>
    /// <param name="wantsAmax">Whether the magnitudes of y are wanted.</param>
    /// <returns>y [..., D]; the reciprocal roots, fp32 [rows], which backward reads; the sum [..., D] where there is a residual; fp32 [P], whose maximum is the amax of y.</returns>
    public (Tensor Y, Tensor Rstd, Tensor? Sum, Tensor? Amax) RmsNorm(Tensor x, Tensor? residual, Tensor w, double epsilon, bool wantsAmax = false)
    {
        using var scope = NewDisposeScope();
        var (rows, width) = Rows(x, "rms_norm");
        Weight(w, x, "rms_norm");
        if (residual is not null) Same(residual, x, "rms_norm");
        Tensor y = New(x.Sizes(), x.dtype, x), rstd = New([rows], ScalarType.Float32, x);
        var sum = residual is null ? null : New(x.Sizes(), x.dtype, x);
        var grid = LaunchGrid.Rows(rows, width, launcher.BlocksToFill(x.device));
        var amax = Amax(wantsAmax, grid, x);
        if (x.numel() > 0)
            launcher.Launch(
                "rms_norm_forward", $"rms_norm_forward_{Type(x)}", x.device, grid,
                x.contiguous(), Of(residual?.contiguous()), w.contiguous(), rows, width, (float)epsilon, y, rstd, Of(sum), Of(amax));
        Keep(y, rstd, sum, amax);
        return (y, rstd, sum, amax);
    }

    /// <summary>The gradients of <see cref="RmsNorm"/>.</summary>
    /// <param name="g">[..., D], gradient of y.</param>
    /// <param name="x">What was normalised: x, or the sum.</param>
    /// <param name="w">As in forward.</param>
    /// <param name="rstd">From forward.</param>
    /// <param name="sumGradient">[..., D], the gradient of the sum that flows past the norm, which is added to the rounded dx; null for none.</param>
    /// <param name="wantsAmax">Whether the magnitudes of dx are wanted.</param>
    /// <returns>dx [..., D] and dw [D], of x's dtype; fp32 [P], whose maximum is the amax of dx. The order of the sums is fixed by the shapes.</returns>
    public (Tensor Dx, Tensor Dw, Tensor? Amax) RmsNormBackward(Tensor g, Tensor x, Tensor w, Tensor rstd, Tensor? sumGradient = null, bool wantsAmax = false)
    {
        using var scope = NewDisposeScope();
        var (rows, width) = Rows(x, "rms_norm backward");
        Same(g, x, "rms_norm backward");
        Weight(w, x, "rms_norm backward");
        if (sumGradient is not null) Same(sumGradient, x, "rms_norm backward");
        Check(rstd.numel() == rows && rstd.dtype == ScalarType.Float32 && rstd.device_type == x.device_type, "rms_norm backward: rstd is not forward's");
        Tensor dx = New(x.Sizes(), x.dtype, x), dw = New([width], x.dtype, x);
        var grid = LaunchGrid.RowSlices(rows, width, x.dtype == ScalarType.BFloat16 ? sumGradient is null ? 2 : 3 : 0);
        var amax = Amax(wantsAmax, grid, x);
        if (x.numel() == 0) dw.zero_();
        else
        {
            var partial = New([grid.X, width], ScalarType.Float32, x);
            launcher.Launch(
                "rms_norm_backward", $"rms_norm_backward_{Type(x)}", x.device, grid,
                g.contiguous(), x.contiguous(), w.contiguous(), rstd.contiguous(), Of(sumGradient?.contiguous()), rows, width, dx, partial, Of(amax));
            launcher.Launch(
                "rms_norm_backward", $"rms_norm_backward_finish_{Type(x)}", x.device, LaunchGrid.Columns(width, launcher.BlocksToFill(x.device)), partial, (long)grid.X, width, dw);
        }

        Keep(dx, dw, amax);
        return (dx, dw, amax);
    }

    /// <summary>Rotates adjacent pairs by their position's angles; backwards, by the opposite angles, which is the gradient.</summary>
    /// <param name="x">[B, S, H, D], D even, of any strides; copied if D is not contiguous.</param>
    /// <param name="cos">fp32 [at least S, D / 2], contiguous.</param>
    /// <param name="sin">As cos.</param>
    /// <param name="backward">The gradient's direction.</param>
    /// <param name="headsFirst">Whether the result lies in memory as [B, H, S, D].</param>
    /// <param name="wantsAmax">Whether the magnitudes of the result are wanted.</param>
    /// <returns>[B, S, H, D] of x's dtype, equal to the plain chain to the bit; fp32 [P], whose maximum is its amax.</returns>
    public (Tensor Y, Tensor? Amax) Rotary(Tensor x, Tensor cos, Tensor sin, bool backward = false, bool headsFirst = false, bool wantsAmax = false)
    {
        using var scope = NewDisposeScope();
        Device(x, "rotary");
        Check(x.dim() == 4 && x.Sizes()[3] % 2 == 0 && x.Sizes()[0] * x.Sizes()[1] <= int.MaxValue, "rotary: expected x [B, S, H, D] with D even and no more than 2^31 positions");
        foreach (var table in new[] { cos, sin })
            Check(
                table.dtype == ScalarType.Float32 && table.dim() == 2 && table.Sizes()[0] >= x.Sizes()[1] && table.Sizes()[1] == x.Sizes()[3] / 2 && table.is_contiguous()
                && table.device_type == x.device_type, "rotary: a table does not fit x; expected contiguous fp32 [at least S, D / 2] on x's device");
        long batch = x.Sizes()[0], length = x.Sizes()[1], heads = x.Sizes()[2], width = x.Sizes()[3];
        var y = headsFirst ? New([batch, heads, length, width], x.dtype, x).transpose(1, 2) : New(x.Sizes(), x.dtype, x);
        var (grid, headsAcross) = LaunchGrid.Heads(batch * length, heads, width, x.element_size(), launcher.BlocksToFill(x.device));
        var amax = Amax(wantsAmax, grid, x);
        var source = x.stride(3) == 1 || width == 1 ? x : x.contiguous();
        if (x.numel() > 0)
            launcher.Launch(
                "rotary", $"rotary_{Type(x)}", x.device, grid,
                source, cos, sin, batch * length, length, heads, width, source.stride(0), source.stride(1), source.stride(2), y.stride(0), y.stride(1), y.stride(2),
                headsAcross, backward ? -1f : 1f, y, Of(amax));
        Keep(y, amax);
        return (y, amax);
    }

    /// <summary>silu(a) · b.</summary>
    /// <param name="a">[...] fp32 or bf16.</param>
    /// <param name="b">As a.</param>
    /// <param name="wantsAmax">Whether the magnitudes of the result are wanted.</param>
    /// <returns>As a; fp32 [P], whose maximum is its amax.</returns>
    public (Tensor Y, Tensor? Amax) SwiGlu(Tensor a, Tensor b, bool wantsAmax = false)
    {
        using var scope = NewDisposeScope();
        Device(a, "swiglu");
        Same(b, a, "swiglu");
        var y = New(a.Sizes(), a.dtype, a);
        var grid = Elements(a);
        var amax = Amax(wantsAmax, grid, a);
        if (a.numel() > 0) launcher.Launch("swiglu", $"swiglu_forward_{Type(a)}", a.device, grid, a.contiguous(), b.contiguous(), a.numel(), y, Of(amax));
        Keep(y, amax);
        return (y, amax);
    }

    /// <summary>The gradients of <see cref="SwiGlu"/> with respect to a and b, and on request fp32 [P] of each, whose maximum is its amax.</summary>
    public (Tensor Da, Tensor Db, Tensor? AmaxOfA, Tensor? AmaxOfB) SwiGluBackward(Tensor g, Tensor a, Tensor b, bool wantsAmax = false)
    {
        using var scope = NewDisposeScope();
        Device(a, "swiglu backward");
        Same(b, a, "swiglu backward");
        Same(g, a, "swiglu backward");
        Tensor da = New(a.Sizes(), a.dtype, a), db = New(a.Sizes(), a.dtype, a);
        var grid = Elements(a);
        Tensor? amaxOfA = Amax(wantsAmax, grid, a), amaxOfB = Amax(wantsAmax, grid, a);
        if (a.numel() > 0)
            launcher.Launch(
                "swiglu", $"swiglu_backward_{Type(a)}", a.device, grid, g.contiguous(), a.contiguous(), b.contiguous(), a.numel(), da, db, Of(amaxOfA), Of(amaxOfB));
        Keep(da, db, amaxOfA, amaxOfB);
        return (da, db, amaxOfA, amaxOfB);
    }

    /// <summary>The sum of the rows' cross-entropies, and their gradient times a factor.</summary>
    /// <param name="logits">[..., V] fp32 or bf16, contiguous.</param>
    /// <param name="labels">[rows] int64; -100 is ignored (loss and gradient 0). Any other label outside 0..V-1 gives NaN.</param>
    /// <param name="factor">What the rounded gradient is multiplied by.</param>
    /// <param name="gradient">Where it goes, contiguous, as the logits; the logits themselves are allowed, null is for no gradient.</param>
    /// <param name="wantsAmax">Whether the magnitudes of the gradient are wanted.</param>
    /// <returns>The sum of the losses, fp32 0-d; fp32 [P], whose maximum is the amax of the gradient.</returns>
    public (Tensor Sum, Tensor? Amax) CrossEntropy(Tensor logits, Tensor labels, float factor, Tensor? gradient, bool wantsAmax = false)
    {
        using var scope = NewDisposeScope();
        var (rows, classes) = Rows(logits, "cross_entropy");
        Check(logits.is_contiguous(), "cross_entropy: expected contiguous logits [..., V]");
        Check(
            labels.dim() == 1 && labels.Sizes()[0] == rows && labels.dtype == ScalarType.Int64 && labels.device_type == logits.device_type,
            "cross_entropy: expected int64 labels [rows] on the logits' device");
        if (gradient is not null)
        {
            Same(gradient, logits, "cross_entropy");
            Check(gradient.is_contiguous(), "cross_entropy: expected a contiguous gradient");
        }

        var losses = New([rows], ScalarType.Float32, logits);
        var (grid, slots) = LaunchGrid.LongRows(rows, classes, logits.element_size(), launcher.BlocksToFill(logits.device), launcher.SharedMemory(logits.device));
        var amax = Amax(wantsAmax && gradient is not null, grid, logits);
        if (logits.numel() > 0)
            launcher.Launch(
                "cross_entropy", $"cross_entropy_{Type(logits)}", logits.device, grid, logits, labels.contiguous(), rows, classes, slots, factor, losses, Of(gradient), Of(amax));
        var sum = losses.sum();
        Keep(sum, amax);
        return (sum, amax);
    }

    /// <summary>A tensor times one number on the device, in place; where that is 1, the tensor is neither read nor written.</summary>
    /// <param name="x">[...] fp32 or bf16, contiguous.</param>
    /// <param name="factor">One fp32 element.</param>
    /// <param name="amax">The magnitudes of x, fp32 [P], which follow; null for none.</param>
    public void ScaleUnlessOne(Tensor x, Tensor factor, Tensor? amax)
    {
        Device(x, "scale_unless_one");
        Check(x.is_contiguous(), "scale_unless_one: expected a contiguous x");
        Check(factor.numel() == 1 && factor.dtype == ScalarType.Float32 && factor.device_type == x.device_type, "scale_unless_one: expected one fp32 factor on x's device");
        Check(amax is null || (amax.dtype == ScalarType.Float32 && amax.is_contiguous() && amax.device_type == x.device_type), "scale_unless_one: amax is not a kernel's");
        if (x.numel() > 0)
            launcher.Launch("scale_unless_one", $"scale_unless_one_{Type(x)}", x.device, Elements(x), x, x.numel(), factor, Of(amax), amax?.numel() ?? 0);
    }

    private LaunchGrid Elements(Tensor x) => LaunchGrid.Line(x.numel(), LaunchGrid.Threads * Lanes(x), launcher.BlocksToFill(x.device));

    private (long Rows, long Width) Rows(Tensor x, string what)
    {
        Device(x, what);
        Check(x.dim() > 0 && x.Sizes()[^1] > 0, $"{what}: expected x [..., D]");
        return (x.numel() / x.Sizes()[^1], x.Sizes()[^1]);
    }

    private void Device(Tensor x, string what) => Check(x.device_type == launcher.Device, $"{what}: x lies on {x.device}; expected a {launcher.Device} tensor");

    /// <summary>Room for one magnitude per block.</summary>
    private static Tensor? Amax(bool wanted, LaunchGrid grid, Tensor x)
    {
        if (!wanted) return null;
        // No block writes where there is no element.
        return x.numel() > 0 ? New([grid.X], ScalarType.Float32, x) : zeros(1, dtype: ScalarType.Float32, device: x.device);
    }

    private static KernelArgument Of(Tensor? tensor) => KernelArgument.Of(tensor);

    private static void Keep(params ReadOnlySpan<Tensor?> results)
    {
        foreach (var result in results) result?.MoveToOuterDisposeScope();
    }

    private static void Weight(Tensor w, Tensor x, string what) => Check(
        w.dim() == 1 && w.Sizes()[0] == x.Sizes()[^1] && w.dtype == x.dtype && w.device_type == x.device_type, $"{what}: w does not fit x; expected [D] of x's dtype and device");

    private static void Same(Tensor x, Tensor like, string what) => Check(
        x.Sizes().SequenceEqual(like.Sizes()) && x.dtype == like.dtype && x.device_type == like.device_type,
        $"{what}: two operands differ in shape, dtype or device; expected the same");

    private static void Check(bool holds, string otherwise)
    {
        if (!holds) throw new ArgumentException(otherwise);
    }

    private static string Type(Tensor x) => KernelTypes.Name(x, "kernel");

    private static long Lanes(Tensor x) => 16 / x.element_size();

    private static Tensor New(ReadOnlySpan<long> shape, ScalarType type, Tensor like) => empty(shape, dtype: type, device: like.device);
}
