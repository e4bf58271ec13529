using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Quantization.Scaling;
using static TorchSharp.torch;

namespace Titan.Quantization.Grouped;

/// <summary>
/// The groups of a quantised matrix [R, C] whose rows are divided into groups. Its scales are those of <see cref="QuantizedTensor"/>, none of which two groups share, or fp32 [E, C]: one per group and column.
/// Groups begin at multiples of its blocks.
/// </summary>
internal static class GroupSlices
{
    /// <summary>A group by itself; views.</summary>
    /// <param name="q">[R, C].</param>
    /// <param name="group">Which.</param>
    /// <param name="begin">Its first row.</param>
    /// <param name="length">Its rows.</param>
    public static QuantizedTensor Slice(this QuantizedTensor q, int group, long begin, long length)
    {
        return q with
        {
            Data = q.Data.narrow(0, begin, length), Scale = Of(q.Scale), Inverse = q.Inverse is null ? null : Of(q.Inverse), Transposed = q.Transposed?.narrow(1, begin, length), Swizzled = null,
        };

        Tensor Of(Tensor scale)
        {
            long rows = q.Data.Sizes()[0], scales = scale.Sizes()[0];
            if (!q.ScalesInside && scale.Sizes()[1] > 1) return scale.narrow(0, group, 1);
            var height = scales == 0 ? 1 : rows / scales;
            return scale.narrow(0, begin / height, length / height);
        }
    }

    /// <summary>The same with a scale for every element where there is one for each group and column, as whoever knows no groups can read it.</summary>
    public static QuantizedTensor WithScalePerElement(this QuantizedTensor q, RowGroups groups)
    {
        if (q.ScalesInside || q.Scale.Sizes()[1] == 1) return q.Alias();
        using var scope = NewDisposeScope();
        var rows = arange(q.Data.Sizes()[0], dtype: ScalarType.Int32, device: q.Data.device);
        // Rows of no group are zeros, whatever their scale.
        var group = rows.unsqueeze(1).ge(groups.Ends).sum(1).clamp(max: groups.Count - 1);
        return new QuantizedTensor(q.Data.alias().MoveToOuterDisposeScope(), q.Scale.index_select(0, group).MoveToOuterDisposeScope(), q.Format);
    }
}
