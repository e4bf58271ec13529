using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>
/// The linear layer in high precision. Output X · Wᵀ [M,N] and grad_input G · W [M,K] in the dtype of X; grad_weight Gᵀ · X [N,K] in fp32 where the weight is, and where the
/// product has its sums so, else rounded to the dtype of X.
/// A weight that is gathered is asked for in forward and again in backward; of one that stays, backward keeps the cast to the dtype of X.
/// </summary>
/// <param name="source">Where the weight comes from.</param>
/// <param name="multiply">The product.</param>
internal sealed class LinearFunction(IWeightSource source, MatrixProduct multiply) : GuardedFunction
{
    private const int X = 0, Weight = 1;

    /// <summary>Where among the saved tensors the cast weight is; null where backward asks the source again.</summary>
    private int? cast;

    /// <summary>X · Wᵀ.</summary>
    public static Tensor Multiply(Tensor x, IWeightSource source, MatrixProduct multiply) => new LinearFunction(source, multiply).Apply(x, source.Parameter);

    protected override Tensor Forward(Tensor[] inputs)
    {
        var x = inputs[X];
        if (NeedsGradient(Weight)) SaveForBackward(x);
        using var weight = source.Gather(x.dtype);
        if (NeedsGradient(X) && source.Parameter.dtype != x.dtype && source.HoldsAll(weight.numel()))
        {
            cast = NeedsGradient(Weight) ? 1 : 0;
            SaveForBackward(weight);
        }

        using var transposed = weight.t();
        return multiply(x, transposed);
    }

    protected override Tensor?[] Backward(Tensor gradient)
    {
        Tensor? gradInput = null;
        if (NeedsGradient(X))
        {
            using var weight = cast is { } index ? TakeSaved(index) : source.Gather(gradient.dtype);
            gradInput = multiply(gradient, weight);
        }

        if (NeedsGradient(Weight))
        {
            var x = Saved(0);
            using var g = gradient.reshape(-1, gradient.size(-1));
            using var transposed = g.t();
            using var rows = x.reshape(-1, x.size(-1));
            using var gradWeight = multiply(transposed, rows, wide: source.Parameter.dtype == ScalarType.Float32);
            WeightGradient.Deliver(source, gradWeight);
        }

        return [gradInput, null];
    }
}
