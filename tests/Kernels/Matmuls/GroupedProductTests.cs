using CsCheck;
using Titan.Abstractions;
using Titan.Kernels.Activations;
using Titan.Kernels.Aten;
using Titan.Kernels.Matmuls;
using static TorchSharp.torch;

namespace Titan.Kernels.Tests.Matmuls;

/// <summary>Products group by group against a loop of products in fp64.</summary>
public class GroupedProductTests
{
    [Fact]
    public void Each_groups_rows_are_multiplied_by_their_own_matrix_and_rows_of_no_group_are_zero() => Sample((x, w, groups, m) =>
    {
        var expected = GroupedLoop.Multiply((a, b, _) => a.to(ScalarType.Float64).matmul(b.to(ScalarType.Float64)), x, w.transpose(1, 2), groups);
        foreach (var kernels in new[] { PlainModelKernels.Instance, ModelKernels.For(fused: true, cuda: false) }) Near(expected, kernels.GroupedMultiply(x, w.transpose(1, 2), groups), x.dtype);
        if (groups.HostEnds[^1] is var end && end < m) Assert.Equal(0, HighPrecisionGroupedProduct.Multiply(x, w.transpose(1, 2), groups).narrow(0, end, m - end).abs().sum().to(ScalarType.Float32).item<float>());
    });

    [Fact]
    public void The_outer_sums_of_each_group_stand_by_themselves_and_an_empty_group_has_zeros() => Sample((x, w, groups, m) =>
    {
        var g = randn(m, w.shape[1]).to(x.dtype);
        var expected = GroupedLoop.Multiply((a, b, _) => a.to(ScalarType.Float64).matmul(b.to(ScalarType.Float64)), g.t(), x, groups);
        foreach (var kernels in new[] { PlainModelKernels.Instance, ModelKernels.For(fused: true, cuda: false) })
            foreach (var wide in new[] { false, true }) Near(expected, kernels.GroupedMultiply(g.t(), x, groups, wide), x.dtype);
    });

    [Fact]
    public void A_GPUs_product_is_asked_for_nothing_that_it_would_refuse_on_the_device()
    {
        using var scope = NewDisposeScope();
        Tensor rows = zeros(40, 16, dtype: ScalarType.BFloat16), matrices = zeros(2, 16, 8, dtype: ScalarType.BFloat16);
        RowGroups any = RowGroups.Of([5, 40], CPU), eights = RowGroups.Of([8, 40], CPU, 8);
        Assert.True(HighPrecisionGroupedProduct.Fits(rows, matrices, any));
        Assert.True(HighPrecisionGroupedProduct.Fits(rows.t(), rows, any));
        // Groups within rows that lie along what is summed over: whole 16 bytes or nothing.
        var along = zeros(16, 40, dtype: ScalarType.BFloat16);
        Assert.False(HighPrecisionGroupedProduct.Fits(along, rows, any));
        Assert.True(HighPrecisionGroupedProduct.Fits(along, rows, eights));
        Assert.False(HighPrecisionGroupedProduct.Fits(rows.t(), zeros(16, 40, dtype: ScalarType.BFloat16).t(), any));
        Assert.False(HighPrecisionGroupedProduct.Fits(zeros(40, 12, dtype: ScalarType.BFloat16).t(), rows, any));
    }

    [Fact]
    public void Operands_that_do_not_fit_are_refused_by_their_shapes()
    {
        using var scope = NewDisposeScope();
        var groups = RowGroups.Of([2, 4], CPU);
        foreach (var (left, right) in new[] { (zeros(4, 3), zeros(2, 4, 5)), (zeros(4, 3), zeros(3, 3, 5)), (zeros(3, 4), zeros(5, 3)), (zeros(4, 3), zeros(2, 3, 5, dtype: ScalarType.BFloat16)) })
            Assert.Contains("grouped product:", Assert.Throws<ArgumentException>(() => HighPrecisionGroupedProduct.Multiply(left, right, groups)).Message);
        Assert.Contains("group 1 of 2", Assert.Throws<TitanException>(() => HighPrecisionGroupedProduct.Multiply(zeros(3, 3), zeros(2, 3, 5), groups)).Message);
        Assert.Throws<ArgumentException>(() => AtenGateway.MatmulInto(zeros(2, 3), zeros(3, 4), zeros(4, 2).t()));
        Assert.Throws<ArgumentException>(() => AtenGateway.GroupedMm(zeros(4, 3, dtype: ScalarType.BFloat16), zeros(2, 4, 5, dtype: ScalarType.BFloat16), groups.Ends));
        Assert.Throws<ArgumentException>(() => new RowGroups(zeros(3)));
    }

    private static void Sample(Action<Tensor, Tensor, RowGroups, long> check) =>
        Gen.Select(Gen.OneOf(Gen.Const(0), Gen.Int[1, 40]).Array[1, 5], Gen.Int[1, 80], Gen.Int[1, 50], Gen.Int[0, 7], Gen.Bool, Gen.Int[0, 10000]).Sample((sizes, n, k, rest, wide, seed) =>
        {
            using var scope = NewDisposeScope();
            manual_seed(seed);
            long m = sizes.Sum() + rest;
            if (m == 0) return;
            var type = wide ? ScalarType.Float32 : ScalarType.BFloat16;
            check(randn(m, k).to(type), randn(sizes.Length, n, k).to(type), RowGroups.Of([.. sizes.Select((_, e) => (long)sizes.Take(e + 1).Sum())], CPU), m);
        }, iter: 40, threads: 1);

    private static void Near(Tensor expected, Tensor actual, ScalarType type)
    {
        Assert.Equal(expected.shape, actual.shape);
        var error = (expected - actual.to(ScalarType.Float64)).abs().max().item<double>();
        Assert.True(error <= (type == ScalarType.Float32 ? 2e-5 : 8e-3) * Math.Max(expected.abs().max().to(ScalarType.Float64).item<double>(), 1), $"{error}");
    }
}
