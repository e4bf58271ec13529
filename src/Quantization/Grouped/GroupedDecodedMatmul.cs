using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Kernels.Casts;
using Titan.Quantization.Scaling;
using static TorchSharp.torch;

namespace Titan.Quantization.Grouped;

/// <summary>
/// The CPU backend where ATen multiplies bf16 fast: an expert is decoded with its scales, which are powers of two so that the values are exact in bf16, and multiplied while it is still in the cache; each product
/// is written where it belongs in the result.
/// </summary>
/// <param name="kernels">What decodes.</param>
internal sealed class GroupedDecodedMatmul(ICastKernels kernels) : IGroupedFloat8Matmul
{
    public string Name => $"decode + bf16, group by group ({kernels.Name})";

    public bool ReadsAlongContracted => false;

    public Tensor MultiplyRows(QuantizedTensor rows, QuantizedTensor weight, bool isTransposed, RowGroups groups, ScalarType type, bool fastAccumulation)
    {
        using var scope = NewDisposeScope();
        long m = rows.Data.Sizes()[0], n = weight.Data.Sizes()[0] / groups.Count;
        var result = empty([m, isTransposed ? n : weight.Data.Sizes()[1]], dtype: type);
        for (var e = 0; e < groups.Count; e++)
        {
            var (begin, length) = groups[e];
            if (length == 0) continue;
            using var step = NewDisposeScope();
            var own = Decode(weight.Slice(e, e * n, n), type);
            AtenGateway.MatmulInto(Decode(rows.Slice(e, begin, length), type), isTransposed ? own.t() : own, result.narrow(0, begin, length));
        }

        var end = groups.Count == 0 ? 0 : groups.HostEnds[^1];
        if (end < m) result.narrow(0, end, m - end).zero_();
        return result.MoveToOuterDisposeScope();
    }

    public Tensor MultiplyColumns(QuantizedTensor left, QuantizedTensor right, RowGroups groups, ScalarType type, bool fastAccumulation, bool wide)
    {
        using var scope = NewDisposeScope();
        var result = empty([groups.Count, left.Data.Sizes()[1], right.Data.Sizes()[1]], dtype: type);
        for (var e = 0; e < groups.Count; e++)
        {
            using var step = NewDisposeScope();
            var (begin, length) = groups[e];
            var own = result.select(0, e);
            if (length == 0) own.zero_();
            else AtenGateway.MatmulInto(Decode(left.Slice(e, begin, length), type).t(), Decode(right.Slice(e, begin, length), type), own);
        }

        return result.MoveToOuterDisposeScope();
    }

    private Tensor Decode(QuantizedTensor x, ScalarType type) =>
        x.HasBlocks ? kernels.DecodeBlocks(x.Data, x.Scale, type) : kernels.DecodeScaled(x.Data, x.FactorOutside(), type);
}
