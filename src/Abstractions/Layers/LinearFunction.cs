using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>
/// The linear layer in high precision. Output X · Wᵀ [M,N] and grad_input G · W [M,K] in the dtype of X; grad_weight Gᵀ · X [N,K] in fp32 where the weight is, and where the
/// product has its sums so, else rounded to the dtype of X.
/// The weight is asked for in forward and again in backward instead of being saved.
/// </summary>
/// <param name="source">Where the weight comes from.</param>
/// <param name="multiply">The product.</param>
internal sealed class LinearFunction(IWeightSource source, MatrixProduct multiply) : GuardedFunction
{
    private const int X = 0, Weight = 1;

    /// <summary>X · Wᵀ.</summary>
    public static Tensor Multiply(Tensor x, IWeightSource source, MatrixProduct multiply) => new LinearFunction(source, multiply).Apply(x, source.Parameter);

    protected override Tensor Forward(Tensor[] inputs)
    {
        var x = inputs[X];
        if (NeedsGradient(Weight)) SaveForBackward(x);
        using var weight = source.Gather(x.dtype);
        using var transposed = weight.t();
        return multiply(x, transposed);
    }

    protected override Tensor?[] Backward(Tensor gradient)
    {
        Tensor? gradInput = null;
        if (NeedsGradient(X))
        {
            using var weight = source.Gather(gradient.dtype);
            gradInput = multiply(gradient, weight);
        }

        if (NeedsGradient(Weight))
        {
            var x = Saved(0);
            using var g = gradient.reshape(-1, gradient.shape[^1]);
            using var transposed = g.t();
            using var rows = x.reshape(-1, x.shape[^1]);
            using var gradWeight = multiply(transposed, rows, wide: source.Parameter.dtype == ScalarType.Float32);
            WeightGradient.Deliver(source, gradWeight);
        }

        return [gradInput, null];
    }
}
