using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Models;

/// <summary>Adds to each row the bias of its group. The gradient of a bias is the sum over its group's rows, a grouped product with ones.</summary>
internal sealed class GroupedBias(RowGroups groups, IWeightSource bias, IModelKernels kernels) : GuardedFunction
{
    private const int Rows = 0, Bias = 1;

    /// <summary>rows + bias of their group; rows of no group are left.</summary>
    /// <param name="rows">[M, N].</param>
    /// <param name="groups">Divides M.</param>
    /// <param name="bias">[E, N].</param>
    /// <param name="kernels">What sums.</param>
    public static Tensor Add(Tensor rows, RowGroups groups, IWeightSource bias, IModelKernels kernels) => new GroupedBias(groups, bias, kernels).Apply(rows, bias.Parameter);

    protected override Tensor Forward(Tensor[] inputs)
    {
        SaveForBackward(groups.Ends);
        var rows = inputs[Rows];
        using var own = bias.Gather(rows.dtype);
        // Rows after the last group take a row of zeros.
        using var all = nn.functional.pad(own, [0, 0, 0, 1]);
        using var row = arange(rows.shape[0], dtype: ScalarType.Int32, device: rows.device);
        using var group = searchsorted(groups.Ends, row, right: true);
        using var spread = all.index_select(0, group);
        return rows + spread;
    }

    protected override Tensor?[] Backward(Tensor gradient)
    {
        if (NeedsGradient(Bias))
        {
            // Eight times the same, since tensor cores take rows of 16 bytes; along columns, since groups are of any size.
            using var eight = ones([gradient.shape[0], 8], dtype: gradient.dtype, device: gradient.device);
            using var each = eight.t();
            using var sums = kernels.GroupedMultiply(each, gradient, groups.Over(Saved(0)), wide: true);
            using var own = sums.select(1, 0);
            WeightGradient.Deliver(bias, own);
        }

        return [NeedsGradient(Rows) ? gradient.alias() : null, null];
    }
}
