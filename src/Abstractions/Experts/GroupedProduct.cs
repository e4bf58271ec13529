using static TorchSharp.torch;

namespace Titan.Abstractions;

/// <summary>
/// A product of matrices group by group, in high precision; not differentiable. What ATen's <c>_grouped_mm</c> computes. Two forms:
/// left [M, I] by right [E, I, C] gives [M, C], each group's rows by its own matrix, rows of no group 0;
/// left [R, M] by right [M, C] gives [E, R, C], sums over each group's columns of left and rows of right, 0 for an empty group.
/// </summary>
/// <param name="left">[M, I] or [R, M].</param>
/// <param name="right">[E, I, C] or [M, C], of the same dtype; views of any strides.</param>
/// <param name="groups">Divides M.</param>
/// <param name="wide">Whether the sums are wanted as they are, in fp32. Where the device's product has them only rounded, the result is of the operands' dtype.</param>
public delegate Tensor GroupedProduct(Tensor left, Tensor right, RowGroups groups, bool wide = false);

/// <summary>The product as a loop over groups: the oracle of all others, and what serves until the host gives a model other kernels. On a GPU it waits for the device.</summary>
public static class GroupedLoop
{
    /// <summary>A <see cref="GroupedProduct"/> of products of matrices.</summary>
    /// <param name="multiply">What multiplies one group.</param>
    /// <param name="left">[M, I] or [R, M].</param>
    /// <param name="right">[E, I, C] or [M, C].</param>
    /// <param name="groups">Divides M.</param>
    /// <param name="wide">Whether the sums are wanted in fp32.</param>
    public static Tensor Multiply(MatrixProduct multiply, Tensor left, Tensor right, RowGroups groups, bool wide = false)
    {
        using var scope = NewDisposeScope();
        var ends = groups.HostEnds;
        var byMatrix = right.dim() == 3;
        var products = new Tensor?[groups.Count];
        for (var e = 0; e < groups.Count; e++)
        {
            long begin = e == 0 ? 0 : ends[e - 1], length = ends[e] - begin;
            if (length == 0) continue;
            products[e] = byMatrix
                ? multiply(left.narrow(0, begin, length), right.select(0, e), wide)
                : multiply(left.narrow(1, begin, length), right.narrow(0, begin, length), wide);
        }

        var type = products.FirstOrDefault(p => p is not null)?.dtype ?? left.dtype;
        var result = zeros(byMatrix ? [left.shape[0], right.shape[2]] : [groups.Count, left.shape[0], right.shape[1]], dtype: type, device: left.device);
        for (var e = 0; e < groups.Count; e++)
        {
            if (products[e] is not { } product) continue;
            (byMatrix ? result.narrow(0, ends[e] - product.shape[0], product.shape[0]) : result.select(0, e)).copy_(product);
        }

        return result.MoveToOuterDisposeScope();
    }
}
