using Titan.Abstractions;
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

    /// <summary>y = x / sqrt(mean(x²) + eps) · w over the last dimension.</summary>
    /// <param name="x">[..., D] fp32 or bf16.</param>
    /// <param name="w">[D] of x's dtype.</param>
    /// <param name="epsilon">Added to the mean square.</param>
    /// <returns>y [..., D], and the reciprocal roots, fp32 [rows], which backward reads.</returns>
    public (Tensor Y, Tensor Rstd) RmsNorm(Tensor x, Tensor w, double epsilon)
    {
        using var scope = NewDisposeScope();
        var (rows, width) = Rows(x, "rms_norm");
        Check(w.dim() == 1 && w.shape[0] == width && w.dtype == x.dtype && w.device_type == x.device_type, "rms_norm: w does not fit x; expected [D] of x's dtype and device");
        var y = New(x.shape, x.dtype, x);
        var rstd = New([rows], ScalarType.Float32, x);
        if (x.numel() > 0)
            launcher.Launch(
                "rms_norm_forward", $"rms_norm_forward_{Type(x)}", x.device, LaunchGrid.Line(rows, 1, launcher.BlocksToFill(x.device)),
                x.contiguous(), w.contiguous(), rows, width, (float)epsilon, y, rstd);
        return (y.MoveToOuterDisposeScope(), rstd.MoveToOuterDisposeScope());
    }

    /// <summary>The gradients of <see cref="RmsNorm"/>.</summary>
    /// <param name="g">[..., D], gradient of y.</param>
    /// <param name="x">As in forward.</param>
    /// <param name="w">As in forward.</param>
    /// <param name="rstd">From forward.</param>
    /// <returns>dx [..., D] and dw [D], of x's dtype. The order of the sums is fixed by the shapes and the device.</returns>
    public (Tensor Dx, Tensor Dw) RmsNormBackward(Tensor g, Tensor x, Tensor w, Tensor rstd)
    {
        using var scope = NewDisposeScope();
        var (rows, width) = Rows(x, "rms_norm backward");
        Same(g, x, "rms_norm backward");
        Check(rstd.numel() == rows && rstd.dtype == ScalarType.Float32, "rms_norm backward: rstd is not forward's");
        Tensor dx = New(x.shape, x.dtype, x), dw = New([width], x.dtype, x), gradient = g.contiguous(), input = x.contiguous();
        if (x.numel() == 0) return (dx.MoveToOuterDisposeScope(), dw.zero_().MoveToOuterDisposeScope());
        var blocks = launcher.BlocksToFill(x.device);
        launcher.Launch(
            "rms_norm_backward_x", $"rms_norm_backward_x_{Type(x)}", x.device, LaunchGrid.Line(rows, 1, blocks), gradient, input, w.contiguous(), rstd, rows, width, dx);
        var grid = LaunchGrid.Partials(width, LaunchGrid.Threads * Lanes(x), rows, blocks);
        var partial = New([grid.Y, width], ScalarType.Float32, x);
        launcher.Launch("rms_norm_backward_weight", $"rms_norm_backward_weight_partial_{Type(x)}", x.device, grid, gradient, input, rstd, rows, width, partial);
        launcher.Launch(
            "rms_norm_backward_weight", $"rms_norm_backward_weight_finish_{Type(x)}", x.device, LaunchGrid.Line(width, LaunchGrid.Threads, blocks),
            partial, (long)grid.Y, width, dw);
        return (dx.MoveToOuterDisposeScope(), dw.MoveToOuterDisposeScope());
    }

    /// <summary>Rotates adjacent pairs by their position's angles; backwards, by the opposite angles, which is the gradient.</summary>
    /// <param name="x">[B, S, H, D], D even.</param>
    /// <param name="cos">fp32 [at least S, D / 2], contiguous.</param>
    /// <param name="sin">As cos.</param>
    /// <param name="backward">The gradient's direction.</param>
    /// <returns>[B, S, H, D] of x's dtype, equal to the plain chain to the bit.</returns>
    public Tensor Rotary(Tensor x, Tensor cos, Tensor sin, bool backward = false)
    {
        using var scope = NewDisposeScope();
        Device(x, "rotary");
        Check(x.dim() == 4 && x.shape[3] % 2 == 0, "rotary: expected x [B, S, H, D] with D even");
        foreach (var table in new[] { cos, sin })
            Check(
                table.dtype == ScalarType.Float32 && table.dim() == 2 && table.shape[0] >= x.shape[1] && table.shape[1] == x.shape[3] / 2 && table.is_contiguous()
                && table.device_type == x.device_type, "rotary: a table does not fit x; expected contiguous fp32 [at least S, D / 2] on x's device");
        var y = New(x.shape, x.dtype, x);
        long vectors = x.shape[0] * x.shape[1] * x.shape[2], width = x.shape[3];
        // As many threads across as a vector has 16-byte pieces, up to a warp; the rest of the block takes further vectors.
        uint across = 1;
        while (across < 32 && across * Lanes(x) < width) across *= 2;
        var down = LaunchGrid.Threads / across;
        if (x.numel() > 0)
            launcher.Launch(
                "rotary", $"rotary_{Type(x)}", x.device, LaunchGrid.Line(vectors, down, launcher.BlocksToFill(x.device)) with { BlockX = across, BlockY = down },
                x.contiguous(), cos, sin, vectors, x.shape[1], x.shape[2], width, backward ? -1f : 1f, y);
        return y.MoveToOuterDisposeScope();
    }

    /// <summary>silu(a) · b.</summary>
    /// <param name="a">[...] fp32 or bf16.</param>
    /// <param name="b">As a.</param>
    public Tensor SwiGlu(Tensor a, Tensor b)
    {
        using var scope = NewDisposeScope();
        Device(a, "swiglu");
        Same(b, a, "swiglu");
        var y = New(a.shape, a.dtype, a);
        if (a.numel() > 0) launcher.Launch("swiglu", $"swiglu_forward_{Type(a)}", a.device, Elements(a), a.contiguous(), b.contiguous(), a.numel(), y);
        return y.MoveToOuterDisposeScope();
    }

    /// <summary>The gradients of <see cref="SwiGlu"/> with respect to a and b.</summary>
    public (Tensor Da, Tensor Db) SwiGluBackward(Tensor g, Tensor a, Tensor b)
    {
        using var scope = NewDisposeScope();
        Device(a, "swiglu backward");
        Same(b, a, "swiglu backward");
        Same(g, a, "swiglu backward");
        Tensor da = New(a.shape, a.dtype, a), db = New(a.shape, a.dtype, a);
        if (a.numel() > 0) launcher.Launch("swiglu", $"swiglu_backward_{Type(a)}", a.device, Elements(a), g.contiguous(), a.contiguous(), b.contiguous(), a.numel(), da, db);
        return (da.MoveToOuterDisposeScope(), db.MoveToOuterDisposeScope());
    }

    /// <summary>Cross-entropy of rows of logits; the logits are replaced by their gradient times a factor.</summary>
    /// <param name="logits">[R, V] fp32 or bf16, contiguous; overwritten.</param>
    /// <param name="labels">[R] int64; -100 is ignored (loss and gradient 0). Any other label outside 0..V-1 gives NaN.</param>
    /// <param name="factor">What the gradient is multiplied by.</param>
    /// <returns>The losses, fp32 [R].</returns>
    public Tensor CrossEntropyInPlace(Tensor logits, Tensor labels, float factor = 1)
    {
        using var scope = NewDisposeScope();
        Device(logits, "cross_entropy");
        Check(logits.dim() == 2 && logits.is_contiguous(), "cross_entropy: expected contiguous logits [R, V]");
        Check(
            labels.dim() == 1 && labels.shape[0] == logits.shape[0] && labels.dtype == ScalarType.Int64 && labels.device_type == logits.device_type,
            "cross_entropy: expected int64 labels [R] on the logits' device");
        var loss = New([logits.shape[0]], ScalarType.Float32, logits);
        if (logits.numel() > 0)
            launcher.Launch(
                "cross_entropy", $"cross_entropy_{Type(logits)}", logits.device, LaunchGrid.Line(logits.shape[0], 1, launcher.BlocksToFill(logits.device)),
                logits, labels.contiguous(), logits.shape[0], logits.shape[1], factor, loss);
        return loss.MoveToOuterDisposeScope();
    }

    private LaunchGrid Elements(Tensor x) => LaunchGrid.Line(x.numel(), LaunchGrid.Threads * Lanes(x), launcher.BlocksToFill(x.device));

    private (long Rows, long Width) Rows(Tensor x, string what)
    {
        Device(x, what);
        Check(x.dim() > 0 && x.shape[^1] > 0, $"{what}: expected x [..., D]");
        return (x.numel() / x.shape[^1], x.shape[^1]);
    }

    private void Device(Tensor x, string what) => Check(x.device_type == launcher.Device, $"{what}: x lies on {x.device}; expected a {launcher.Device} tensor");

    private static void Same(Tensor x, Tensor like, string what) => Check(
        x.shape.AsSpan().SequenceEqual(like.shape) && x.dtype == like.dtype && x.device_type == like.device_type,
        $"{what}: two operands differ in shape, dtype or device; expected the same");

    private static void Check(bool holds, string otherwise)
    {
        if (!holds) throw new ArgumentException(otherwise);
    }

    private static string Type(Tensor x) => KernelTypes.Name(x, "kernel");

    private static long Lanes(Tensor x) => 16 / x.element_size();

    private static Tensor New(long[] shape, ScalarType type, Tensor like) => empty(shape, dtype: type, device: like.device);
}
