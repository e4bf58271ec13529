using Titan.Kernels.Aten;
using static TorchSharp.torch;

namespace Titan.Kernels.Casts;

/// <summary>
/// The layout in which the tensor cores read the scales of block-scaled operands: tiles of 128 rows and 4 columns, row of tiles by row of tiles; within a tile four groups of
/// 32 rows lie side by side, so that byte (r, c) is at (r mod 32) * 16 + (r / 32) * 4 + c. Source: cuBLAS, "1D block scaling factors layout".
/// </summary>
public static class ScaleSwizzle
{
    private const int TileRows = 128, TileColumns = 4, Group = 32;

    /// <summary>Bytes of a swizzled [rows, columns] matrix of scales.</summary>
    public static long Size(long rows, long columns) => (rows + TileRows - 1) / TileRows * TileRows * ((columns + TileColumns - 1) / TileColumns * TileColumns);

    /// <summary>To the hardware's layout; what fills up the last tiles is 0.</summary>
    /// <param name="scale">[R, C], one byte each: e8m0 or uint8. Rows are those of the operand, columns its blocks along the contracted dimension.</param>
    /// <returns>One dimension, scale's dtype.</returns>
    public static Tensor ToBlocked(Tensor scale)
    {
        using var scope = NewDisposeScope();
        var filled = ZeroFill.ToMultiple(ZeroFill.ToMultiple(Bytes(scale), 0, TileRows), 1, TileColumns);
        long down = filled.Sizes()[0] / TileRows, across = filled.Sizes()[1] / TileColumns;
        var tiles = filled.view(down, TileRows / Group, Group, across, TileColumns).permute(0, 3, 2, 1, 4).contiguous().view(-1);
        return AtenGateway.ViewDtype(tiles, scale.dtype).MoveToOuterDisposeScope();
    }

    /// <summary>Back to [R, C].</summary>
    public static Tensor FromBlocked(Tensor blocked, long rows, long columns)
    {
        using var scope = NewDisposeScope();
        long down = (rows + TileRows - 1) / TileRows, across = (columns + TileColumns - 1) / TileColumns;
        var filled = Bytes(blocked).view(down, across, Group, TileRows / Group, TileColumns).permute(0, 3, 2, 1, 4).contiguous().view(down * TileRows, across * TileColumns);
        return AtenGateway.ViewDtype(filled.narrow(0, 0, rows).narrow(1, 0, columns).contiguous(), blocked.dtype).MoveToOuterDisposeScope();
    }

    /// <summary>e8m0 has few operations; its bytes have all.</summary>
    private static Tensor Bytes(Tensor scale) => AtenGateway.ViewDtype(scale.contiguous(), ScalarType.Byte);
}
