using Titan.Abstractions;
using Titan.Kernels.Fused;
using Titan.Kernels.ModelOps;
using Titan.Models;
using static TorchSharp.torch;

namespace Titan.Benchmarks;

/// <summary>The fused kernels of the model on the matrix X[R, C] of the inputs.</summary>
internal static class ModelKernels
{
    private const long HeadWidth = 128, LongestSequence = 2048;

    /// <summary>Words of the cross-entropies: X is read as rows of so many logits, whatever its columns. The second is Llama 3's.</summary>
    public const long Vocabulary = KernelInputs.Multiple, LargeVocabulary = 128_256;

    /// <summary>Over rows of X.</summary>
    public static ModelKernel RmsNorm(KernelInputs i)
    {
        const double epsilon = 1e-5;
        var layer = new RmsNorm(i.Columns, epsilon, i.X.device, i.X.dtype);
        Tensor x = Leaf(i.X), w = layer.Weight.Parameter;
        using (no_grad()) w.copy_(i.Random(w.shape) * 0.2 + 1);
        return new([x, w], [], [x, w], i.Random(x.shape), () => layer.forward(x), () => FusedRmsNorm.Normalize(x, w, epsilon));
    }

    /// <summary>X as sequences of heads, [B, S, C / 128, 128]; S the greatest power of two up to 2048 that divides R.</summary>
    public static ModelKernel Rotary(KernelInputs i)
    {
        var rows = i.X.shape[0];
        var length = Math.Min(LongestSequence, rows & -rows);
        var x = Leaf(i.X.view(rows / length, length, i.Columns / HeadWidth, HeadWidth));
        var angles = new RotaryArgs(500_000).Angles((int)length, (int)HeadWidth, i.X.device);
        var (cos, sin) = (angles.Cos, angles.Sin);
        i.Keep(cos, sin);
        var table = new RotaryTable(cos, sin);
        return new([x], [cos, sin], [cos, sin], i.Random(x.shape), () => PlainModelKernels.Rotate(x, angles), () => FusedRotary.Rotate(x, table));
    }

    /// <summary>X times the gate of a second matrix like it.</summary>
    public static ModelKernel SwiGlu(KernelInputs i)
    {
        Tensor gate = Leaf(i.X), up = Leaf(i.Random(i.X.shape));
        return new([gate, up], [], [gate, up], i.Random(gate.shape), () => nn.functional.silu(gate) * up, () => FusedSwiGlu.Multiply(gate, up));
    }

    /// <summary>X as logits [R', 32768]. Backward need not read them again: their gradient may be made with the loss.</summary>
    public static ModelKernel CrossEntropy(KernelInputs i) => CrossEntropy(i, i.X.view(-1, Vocabulary));

    /// <summary>As much of X as makes whole rows, as logits [R', 128256]; one row of random numbers where X has not that many.</summary>
    public static ModelKernel LargeCrossEntropy(KernelInputs i)
    {
        var rows = i.X.numel() / LargeVocabulary;
        var logits = rows == 0 ? i.Random(1, LargeVocabulary) : i.X.view(-1).narrow(0, 0, rows * LargeVocabulary).view(rows, LargeVocabulary);
        return CrossEntropy(i, logits) with { Elements = logits.numel() };
    }

    private static ModelKernel CrossEntropy(KernelInputs i, Tensor rows)
    {
        var logits = Leaf(rows);
        var labels = i.RandomBelow(logits.shape[1], logits.shape[0]);
        return new([logits], [labels], [], ones([], device: i.X.device),
            () => nn.functional.cross_entropy(logits.to(ScalarType.Float32), labels, null, -100, nn.Reduction.Sum), () => FusedCrossEntropy.Sum(logits, labels));
    }

    private static Tensor Leaf(Tensor x) => x.detach().requires_grad_();
}
