using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.ExpertParallel;

/// <summary>
/// Which rows this rank sends where several ranks hold the same ones: the ranks of tensor parallelism, if they do not share single experts. Each sends a run of the sorted rows, and what comes back is
/// zero elsewhere, so that the layer's output is a partial sum like that of its other layers.
/// </summary>
/// <param name="Index">This rank among those that hold the same rows.</param>
/// <param name="Count">Their number.</param>
internal sealed record RowShare(int Index, int Count)
{
    /// <summary>Of a rank in a mesh.</summary>
    public static RowShare Of(DeviceMesh mesh) =>
        mesh.Sizes.ExpertTensorParallel > 1 ? new RowShare(0, 1) : new RowShare(mesh.Coordinate(MeshAxis.TensorParallel), mesh.Sizes.TensorParallel);

    /// <summary>First row and number of rows, of N.</summary>
    public (long Begin, long Length) OfRows(long rows)
    {
        var begin = rows * Index / Count;
        return (begin, rows * (Index + 1) / Count - begin);
    }

    /// <summary>The share of [N, D]; differentiable.</summary>
    public Tensor Take(Tensor rows)
    {
        var (begin, length) = OfRows(rows.shape[0]);
        return Count == 1 ? rows.alias() : rows.narrow(0, begin, length);
    }

    /// <summary>The same of the rows of each expert, int64 [E].</summary>
    public Tensor TakeCounts(Tensor counts, long rows)
    {
        var (begin, length) = OfRows(rows);
        if (Count == 1) return counts.contiguous();
        var ends = counts.cumsum(0);
        return ends.clamp(begin, begin + length) - (ends - counts).clamp(begin, begin + length);
    }

    /// <summary>[n, D] in its place among N rows, the others 0; differentiable.</summary>
    public Tensor Put(Tensor share, long rows)
    {
        var (begin, length) = OfRows(rows);
        return Count == 1 ? share.alias() : nn.functional.pad(share, [0, 0, begin, rows - begin - length]);
    }
}
