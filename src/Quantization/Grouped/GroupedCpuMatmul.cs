using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Quantization.Scaling;
using static TorchSharp.torch;

namespace Titan.Quantization.Grouped;

/// <summary>The CPU backends: the product of each group is written where it belongs in the result, with no copy and nothing filled up.</summary>
internal abstract class GroupedCpuMatmul : IGroupedFloat8Matmul
{
    public abstract string Name { get; }

    public bool ReadsAlongContracted => false;

    /// <summary>Whether sums can be had in fp32 when the layer is bf16.</summary>
    protected abstract bool HasWideSums { get; }

    public Tensor MultiplyRows(QuantizedTensor rows, QuantizedTensor weight, bool isTransposed, RowGroups groups, ScalarType type, bool fastAccumulation)
    {
        using var scope = NewDisposeScope();
        long m = rows.Data.Sizes()[0], n = weight.Data.Sizes()[0] / groups.Count;
        var result = empty([m, isTransposed ? n : weight.Data.Sizes()[1]], dtype: Written(type));
        for (var e = 0; e < groups.Count; e++)
        {
            var (begin, length) = groups[e];
            if (length == 0) continue;
            using var step = NewDisposeScope();
            var own = weight.Slice(e, e * n, n);
            MultiplyInto(result.narrow(0, begin, length), rows.Slice(e, begin, length), isTransposed ? own.Transpose() : own);
        }

        var end = groups.Count == 0 ? 0 : groups.HostEnds[^1];
        if (end < m) result.narrow(0, end, m - end).zero_();
        return result.to(type).MoveToOuterDisposeScope();
    }

    public Tensor MultiplyColumns(QuantizedTensor left, QuantizedTensor right, RowGroups groups, ScalarType type, bool fastAccumulation, bool wide)
    {
        using var scope = NewDisposeScope();
        if (wide && HasWideSums) type = ScalarType.Float32;
        var result = empty([groups.Count, left.Data.Sizes()[1], right.Data.Sizes()[1]], dtype: Written(type));
        for (var e = 0; e < groups.Count; e++)
        {
            using var step = NewDisposeScope();
            var (begin, length) = groups[e];
            var own = result.select(0, e);
            if (length == 0) own.zero_();
            else MultiplyInto(own, left.Slice(e, begin, length).Transpose(), right.Slice(e, begin, length));
        }

        return result.to(type).MoveToOuterDisposeScope();
    }

    /// <summary>target = left · right, of bf16 or fp32.</summary>
    protected abstract void MultiplyInto(Tensor target, QuantizedTensor left, QuantizedTensor right);

    // What is neither bf16 nor fp32 is rounded from fp32.
    private static ScalarType Written(ScalarType type) => type == ScalarType.BFloat16 ? type : ScalarType.Float32;
}
