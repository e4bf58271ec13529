using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Kernels.Casts;
using Titan.Quantization.Scaling;
using static TorchSharp.torch;

namespace Titan.Quantization.Grouped;

/// <summary>
/// The tensor cores' grouped float8 product. The offsets stay on the device and nothing waits for them. Both operands lie along the dimension that is contracted, as the engine's casts on CUDA write them.
/// </summary>
/// <param name="kernels">What clears the rows of no group, which the product leaves as they were.</param>
internal sealed class ScaledGroupedMmMatmul(ICastKernels kernels) : IGroupedFloat8Matmul
{
    public string Name => "_scaled_grouped_mm";

    public bool ReadsAlongContracted => true;

    public Tensor MultiplyRows(QuantizedTensor rows, QuantizedTensor weight, bool isTransposed, RowGroups groups, ScalarType type, bool fastAccumulation)
    {
        using var scope = NewDisposeScope();
        long experts = groups.Count, n = weight.Data.Sizes()[0] / experts, k = weight.Data.Sizes()[1];
        if (rows.Data.numel() == 0) return zeros([rows.Data.Sizes()[0], isTransposed ? n : k], dtype: type, device: rows.Data.device).MoveToOuterDisposeScope();
        Tensor matrices = weight.Data.view(experts, n, k), left = rows.Data.contiguous(), scaleLeft, scaleRight;
        if (isTransposed) matrices = matrices.transpose(1, 2);
        // A weight that travelled lies along its rows.
        if (matrices.stride(1) != 1) matrices = matrices.transpose(1, 2).contiguous().transpose(1, 2);
        if (rows.HasBlocks)
        {
            scaleLeft = GroupSwizzle.Rows(rows.Scale, groups);
            var own = weight.Scale.contiguous().view(experts, -1, weight.Scale.Sizes()[1]);
            scaleRight = GroupSwizzle.Experts(isTransposed ? own : own.transpose(1, 2));
        }
        else (scaleLeft, scaleRight) = (rows.FactorOutside().reshape(-1), weight.FactorOutside().reshape(experts, -1));
        var result = AtenGateway.ScaledGroupedMm(left, matrices, scaleLeft, scaleRight, groups.Ends, fastAccumulation);
        kernels.ClearRows(result, groups);
        return result.to(type).MoveToOuterDisposeScope();
    }

    public Tensor MultiplyColumns(QuantizedTensor left, QuantizedTensor right, RowGroups groups, ScalarType type, bool fastAccumulation, bool wide)
    {
        using var scope = NewDisposeScope();
        long n = left.Data.Sizes()[1], k = right.Data.Sizes()[1];
        if (left.Data.numel() == 0) return zeros([groups.Count, n, k], dtype: type, device: left.Data.device).MoveToOuterDisposeScope();
        Tensor a = left.Data.t().contiguous(), b = right.Data.t().contiguous().t(), scaleLeft, scaleRight;
        if (left.HasBlocks)
        {
            var length = (int)(left.Data.Sizes()[0] / left.Scale.Sizes()[0]);
            (scaleLeft, scaleRight) = (GroupSwizzle.Columns(left.Scale.t(), groups, length), GroupSwizzle.Columns(right.Scale.t(), groups, length));
        }
        else (scaleLeft, scaleRight) = (left.FactorOutside().reshape(-1), right.FactorOutside().reshape(-1));
        return AtenGateway.ScaledGroupedMm(a, b, scaleLeft, scaleRight, groups.Ends, fastAccumulation).to(type).MoveToOuterDisposeScope();
    }
}
