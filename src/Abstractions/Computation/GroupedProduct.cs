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
        Check(left, right, groups);
        var byMatrix = right.dim() == 3;
        long[] shape = byMatrix ? [left.shape[0], right.shape[2]] : [groups.Count, left.shape[0], right.shape[1]];
        Tensor? result = null;
        for (var e = 0; e < groups.Count; e++)
        {
            var (begin, length) = groups[e];
            if (length == 0) continue;
            using var step = NewDisposeScope();
            var product = byMatrix
                ? multiply(left.narrow(0, begin, length), right.select(0, e), wide)
                : multiply(left.narrow(1, begin, length), right.narrow(0, begin, length), wide);
            result ??= zeros(shape, dtype: product.dtype, device: left.device).MoveToOuterDisposeScope();
            (byMatrix ? result.narrow(0, begin, length) : result.select(0, e)).copy_(product);
        }

        return (result ?? zeros(shape, dtype: left.dtype, device: left.device)).MoveToOuterDisposeScope();
    }

    /// <summary>Refuses operands of which a product would read what is not there.</summary>
    /// <param name="left">[M, I] or [R, M].</param>
    /// <param name="right">[E, I, C] or [M, C].</param>
    /// <param name="groups">Divides M.</param>
    /// <exception cref="ArgumentException">The operands do not fit each other or the groups.</exception>
    public static void Check(Tensor left, Tensor right, RowGroups groups)
    {
        long[] l = left.shape, r = right.shape;
        var fits = left.dtype == right.dtype && l.Length == 2 && (r.Length == 3 ? r[0] == groups.Count && l[1] == r[1] : r.Length == 2 && l[1] == r[0]);
        if (!fits)
            throw new ArgumentException(
                $"grouped product: {left.dtype} [{string.Join(", ", l)}] · {right.dtype} [{string.Join(", ", r)}] in {groups.Count} groups; expected [M, I] · [{groups.Count}, I, C] or [R, M] · [M, C] of one dtype");
        groups.Check(r.Length == 3 ? l[0] : l[1]);
    }
}
