using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Quantization.Matmuls;
using Titan.Quantization.Scaling;
using static TorchSharp.torch;

namespace Titan.Quantization.Grouped;

/// <summary>A loop over groups of a matmul that knows none: emulation, the oracle of the others, and what serves where there is nothing faster. On a GPU it waits for the sizes.</summary>
/// <param name="each">Multiplies one group.</param>
internal sealed class GroupedLoopMatmul(IFloat8Matmul each) : IGroupedFloat8Matmul
{
    public string Name => $"{each.Name}, group by group";

    // The groups of a transposed copy do not lie in one piece.
    public bool ReadsAlongContracted => false;

    public Tensor MultiplyRows(QuantizedTensor rows, QuantizedTensor weight, bool isTransposed, RowGroups groups, ScalarType type, bool fastAccumulation)
    {
        using var scope = NewDisposeScope();
        var n = weight.Data.Sizes()[0] / groups.Count;
        var result = zeros([rows.Data.Sizes()[0], isTransposed ? n : weight.Data.Sizes()[1]], dtype: type, device: rows.Data.device);
        for (var e = 0; e < groups.Count; e++)
        {
            var (begin, length) = groups[e];
            if (length == 0) continue;
            using var step = NewDisposeScope();
            var own = weight.Slice(e, e * n, n);
            result.narrow(0, begin, length).copy_(each.Multiply(rows.Slice(e, begin, length), isTransposed ? own.Transpose() : own, type, fastAccumulation));
        }

        return result.MoveToOuterDisposeScope();
    }

    public Tensor MultiplyColumns(QuantizedTensor left, QuantizedTensor right, RowGroups groups, ScalarType type, bool fastAccumulation, bool wide)
    {
        using var scope = NewDisposeScope();
        var result = zeros([groups.Count, left.Data.Sizes()[1], right.Data.Sizes()[1]], dtype: wide ? ScalarType.Float32 : type, device: left.Data.device);
        for (var e = 0; e < groups.Count; e++)
        {
            var (begin, length) = groups[e];
            if (length == 0) continue;
            using var step = NewDisposeScope();
            result.select(0, e).copy_(each.Multiply(left.Slice(e, begin, length).Transpose(), right.Slice(e, begin, length), type, fastAccumulation, wide));
        }

        return result.MoveToOuterDisposeScope();
    }
}
