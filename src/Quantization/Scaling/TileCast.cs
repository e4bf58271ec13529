using Titan.Abstractions;
using Titan.Kernels.Aten;
using Titan.Kernels.Casts;
using static TorchSharp.torch;

namespace Titan.Quantization.Scaling;

/// <summary>
/// One fp32 scale per tile, as DeepSeek-V3 trains (1 x 128 for activations, 128 x 128 for weights). The contracted dimension is filled up with zeros; along the other
/// the last tile may be smaller.
/// </summary>
internal static class TileCast
{
    /// <summary>Casts a matrix.</summary>
    /// <param name="x">[R, C] fp32 or bf16.</param>
    /// <param name="tile">Rows and columns of a tile.</param>
    /// <param name="contracted">The dimension that the matmul contracts.</param>
    /// <param name="cast">Format and rounding.</param>
    /// <param name="kernels">What casts the elements.</param>
    public static QuantizedTensor Cast(Tensor x, (int Rows, int Columns) tile, int contracted, OperandCast.Scaled cast, ICastKernels kernels)
    {
        using var scope = NewDisposeScope();
        var filled = ZeroFill.ToMultiple(x, contracted, contracted == 1 ? tile.Columns : tile.Rows);
        var whole = ZeroFill.ToMultiple(ZeroFill.ToMultiple(filled, 0, tile.Rows), 1, tile.Columns);
        long rows = whole.Sizes()[0] / tile.Rows, columns = whole.Sizes()[1] / tile.Columns;
        var amax = whole.numel() == 0
            ? zeros(rows, columns, device: x.device)
            : whole.reshape(rows, tile.Rows, columns, tile.Columns).abs().amax([1, 3]).to(ScalarType.Float32);
        var scale = ScaleMath.FromAmax(amax, cast.Format, cast.Rounding);
        var data = kernels.Cast(filled, Expand(scale, tile, filled.shape), cast.Format);
        return new QuantizedTensor(data.MoveToOuterDisposeScope(), scale.MoveToOuterDisposeScope(), cast.Format, tile);
    }

    /// <summary>The scale of each element.</summary>
    public static Tensor Expand(Tensor scale, (int Rows, int Columns) tile, long[] shape)
    {
        using var scope = NewDisposeScope();
        return scale.repeat_interleave(tile.Rows, 0).narrow(0, 0, shape[0]).repeat_interleave(tile.Columns, 1).narrow(1, 0, shape[1]).MoveToOuterDisposeScope();
    }
}
