using Titan.Abstractions;
using Titan.Kernels.ModelOps;
using static TorchSharp.torch;

namespace Titan.Kernels.Fused;

/// <summary>
/// <see cref="CrossEntropyKernel"/> with gradients. Logits [..., V], labels [rows] int64; a row whose label is -100 counts for nothing. The gradient is made with the
/// loss, only where one is needed. Kept for backward: the gradient, in the logits' dtype, which backward hands over as it is where what came into it is exactly 1.
/// </summary>
public sealed class FusedCrossEntropy : GuardedFunction
{
    private readonly float factor;
    private readonly long count;
    private readonly bool mayOverwrite;
    private readonly GradientAmax? offer;
    private bool hasAmax;

    private FusedCrossEntropy(float factor, long count, bool mayOverwrite, GradientAmax? offer) =>
        (this.factor, this.count, this.mayOverwrite, this.offer) = (factor, count, mayOverwrite, offer);

    /// <summary>Whether this kernel can read the logits.</summary>
    public static bool Covers(Tensor logits) => CrossEntropyKernel.Covers(logits);

    /// <summary>The sum over all rows, 0-d fp32.</summary>
    /// <param name="logits">[..., V].</param>
    /// <param name="labels">[rows] int64.</param>
    /// <param name="factor">Inside the gradient, not in the sum: with one over the number of labels, backward of the sum gives the gradient of the mean.</param>
    /// <param name="mayOverwrite">
    /// Whether the gradient may take the logits' place: nobody else reads them any more. A backward that needs their old values fails. Logits that are not contiguous are
    /// left alone.
    /// </param>
    /// <param name="offer">Told the gradient's amax in backward; null where nobody asks.</param>
    public static Tensor Sum(Tensor logits, Tensor labels, float factor = 1, bool mayOverwrite = false, GradientAmax? offer = null) =>
        new FusedCrossEntropy(factor, 1, mayOverwrite, offer).Apply(logits, labels);

    /// <summary>The sum over all rows divided by <paramref name="count"/>, with the gradient of that: nothing is left to multiply in backward.</summary>
    /// <param name="logits">[..., V].</param>
    /// <param name="labels">[rows] int64.</param>
    /// <param name="count">Labels that count, over all micro-batches and ranks.</param>
    /// <param name="mayOverwrite">As in <see cref="Sum"/>.</param>
    public static Tensor Mean(Tensor logits, Tensor labels, long count, bool mayOverwrite) => new FusedCrossEntropy(1f / count, count, mayOverwrite, null).Apply(logits, labels);

    /// <inheritdoc />
    protected override Tensor Forward(Tensor[] inputs)
    {
        var logits = inputs[0];
        var place = !NeedsGradient(0) ? LogitsGradient.None : mayOverwrite && logits.is_contiguous() ? LogitsGradient.InPlace : LogitsGradient.Apart;
        var result = CrossEntropyKernel.Sum(logits, inputs[1], factor, place, offer is not null);
        if (result.Gradient is not null) SaveForBackward(result.Gradient);
        if (result.Amax is not null) SaveForBackward(result.Amax);
        hasAmax = result.Amax is not null;
        return count == 1 ? result.Sum : result.Sum / count;
    }

    /// <inheritdoc />
    protected override Tensor?[] Backward(Tensor gradient)
    {
        // Backward runs once, so what was kept may become the result.
        var result = Saved(0);
        var amax = hasAmax ? Saved(1) : null;
        CrossEntropyKernel.ScaleUnlessOne(result, gradient, amax);
        if (amax is not null) offer?.Invoke(result, amax);
        return [result, null];
    }
}
