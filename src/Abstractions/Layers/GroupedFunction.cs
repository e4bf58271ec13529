using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>
/// Grouped matmuls in high precision. Output X · W[e]ᵀ [M, N] and grad_input G · W[e] [M, K] in the dtype of X; grad_weight G[e]ᵀ · X[e] [E, N, K] in fp32 where the weight is, and where the
/// product has its sums so, else rounded to the dtype of X.
/// </summary>
/// <param name="source">Where the weight comes from.</param>
/// <param name="groups">Divides M.</param>
/// <param name="multiply">The product.</param>
internal sealed class GroupedFunction(IWeightSource source, RowGroups groups, GroupedProduct multiply) : GuardedFunction
{
    private const int X = 0, Weight = 1;

    /// <summary>X · W[e]ᵀ.</summary>
    public static Tensor Multiply(Tensor x, RowGroups groups, IWeightSource source, GroupedProduct multiply) => new GroupedFunction(source, groups, multiply).Apply(x, source.Parameter);

    protected override Tensor Forward(Tensor[] inputs)
    {
        SaveForBackward(groups.Ends);
        if (NeedsGradient(Weight)) SaveForBackward(inputs[X]);
        using var weight = source.Gather(inputs[X].dtype);
        using var transposed = weight.transpose(1, 2);
        return multiply(inputs[X], transposed, groups);
    }

    protected override Tensor?[] Backward(Tensor gradient)
    {
        Tensor? gradInput = null;
        var same = groups.Over(Saved(0));
        if (NeedsGradient(X))
        {
            using var weight = source.Gather(gradient.dtype);
            gradInput = multiply(gradient, weight, same);
        }

        if (NeedsGradient(Weight))
        {
            using var transposed = gradient.t();
            using var gradWeight = multiply(transposed, Saved(1), same, wide: source.Parameter.dtype == ScalarType.Float32);
            WeightGradient.Deliver(source, gradWeight);
        }

        return [gradInput, null];
    }
}

/// <summary>Grouped matmuls in the compute dtype.</summary>
/// <param name="multiply">The product.</param>
public sealed class HighPrecisionGroupedMatmul(GroupedProduct multiply) : IGroupedMatmul
{
    /// <inheritdoc />
    public string Name => "high precision";

    /// <inheritdoc />
    public Tensor Multiply(Activation rows, RowGroups groups, IWeightSource weight) => GroupedFunction.Multiply(rows.Values, groups, weight, multiply);
}
