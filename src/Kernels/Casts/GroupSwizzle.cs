using Titan.Abstractions;
using Titan.Kernels.Aten;
using static TorchSharp.torch;

namespace Titan.Kernels.Casts;

/// <summary>
/// The scales of block-scaled operands as a grouped product reads them: those of each group in the layout of <see cref="ScaleSwizzle"/>, padded to whole tiles by themselves, group after group. How many scales a group has
/// the device alone may know, so buffers have room for the most that there can be, and nothing waits.
/// </summary>
public static class GroupSwizzle
{
    private const int TileRows = 128, TileColumns = 4;

    /// <summary>Of an operand whose rows are divided: the rows of each group are padded to 128.</summary>
    /// <param name="scale">e8m0 [M, S].</param>
    /// <param name="groups">Divides M.</param>
    /// <returns>e8m0, rows M + 128 · E, columns S rounded up to 4; what belongs to no group is 0.</returns>
    public static Tensor Rows(Tensor scale, RowGroups groups)
    {
        using var scope = NewDisposeScope();
        long m = scale.shape[0], room = m + TileRows * groups.Count, rows = Up(room, TileRows), columns = Up(scale.shape[1], TileColumns);
        var (target, _, _) = Places(m, groups, unit: 1, TileRows);
        // Rows of no group go to a last row that is dropped.
        var padded = zeros([rows + 1, columns], dtype: ScalarType.Byte, device: scale.device);
        padded.narrow(1, 0, scale.shape[1]).index_copy_(0, target.clamp(max: rows), Bytes(scale));
        return As(ScaleSwizzle.ToBlocked(padded.narrow(0, 0, rows)).view(rows, columns).narrow(0, 0, room)).MoveToOuterDisposeScope();
    }

    /// <summary>Of weights: each expert by itself.</summary>
    /// <param name="scale">e8m0 [E, R, S].</param>
    /// <returns>e8m0 [E, R rounded up to 128 times S rounded up to 4].</returns>
    public static Tensor Experts(Tensor scale)
    {
        using var scope = NewDisposeScope();
        var bytes = Bytes(scale);
        return As(stack([.. Enumerable.Range(0, (int)scale.shape[0]).Select(e => ScaleSwizzle.ToBlocked(bytes.select(0, e)))])).MoveToOuterDisposeScope();
    }

    /// <summary>Of an operand whose blocks lie along the divided dimension: the columns of each group are padded to 4.</summary>
    /// <param name="scale">e8m0 [R, M / L].</param>
    /// <param name="groups">Divides M.</param>
    /// <param name="length">L, rows in a block.</param>
    /// <returns>e8m0, rows R rounded up to 128, columns M / L + 4 · E; what belongs to no group is 0.</returns>
    public static Tensor Columns(Tensor scale, RowGroups groups, int length)
    {
        using var scope = NewDisposeScope();
        long blocks = scale.shape[1], rows = Up(scale.shape[0], TileRows), room = blocks + TileColumns * groups.Count, columns = Up(room, TileColumns), across = columns / TileColumns, down = rows / TileRows;
        var (target, starts, sizes) = Places(blocks, groups, length, TileColumns);
        var padded = zeros([rows, columns + 1], dtype: ScalarType.Byte, device: scale.device);
        padded.narrow(0, 0, scale.shape[0]).index_copy_(1, target.clamp(max: columns), Bytes(scale));
        // Tiles of 512 bytes, row of tiles after row of tiles; in the buffer, group after group and within each row of tiles after row of tiles.
        var tiles = ScaleSwizzle.ToBlocked(padded.narrow(1, 0, columns)).view(down, across, TileRows * TileColumns);
        var tile = arange(across, dtype: ScalarType.Int64, device: scale.device);
        Tensor first = floor_divide(starts, TileColumns), count = floor_divide(sizes, TileColumns);
        var group = tile.unsqueeze(1).ge((first + count).unsqueeze(0)).sum(1);
        var none = group.ge(groups.Count);
        group = group.clamp(max: groups.Count - 1);
        Tensor begin = first.index_select(0, group), own = count.index_select(0, group);
        var place = (begin * down).unsqueeze(0) + arange(down, dtype: ScalarType.Int64, device: scale.device).unsqueeze(1) * own.unsqueeze(0) + (tile - begin).unsqueeze(0);
        var result = zeros([down * across + 1, TileRows * TileColumns], dtype: ScalarType.Byte, device: scale.device);
        result.index_copy_(0, where(none.unsqueeze(0), tensor(down * across, device: scale.device), place).reshape(-1), tiles.reshape(down * across, -1));
        return As(result.view(-1).narrow(0, 0, rows * room).view(rows, room)).MoveToOuterDisposeScope();
    }

    /// <summary>Where each of so many rows or blocks goes when each group is padded to whole tiles, past everything for those of no group; and where each group begins, and its padded size.</summary>
    private static (Tensor Target, Tensor Starts, Tensor Sizes) Places(long count, RowGroups groups, int unit, int tile)
    {
        var ends = floor_divide(groups.Ends.to(ScalarType.Int64), unit);
        var begins = cat([zeros([1], dtype: ScalarType.Int64, device: ends.device), ends.narrow(0, 0, groups.Count - 1)]);
        var sizes = floor_divide(ends - begins + (tile - 1), tile) * tile;
        var starts = sizes.cumsum(0) - sizes;
        var index = arange(count, dtype: ScalarType.Int64, device: ends.device);
        var group = index.unsqueeze(1).ge(ends.unsqueeze(0)).sum(1);
        var own = group.clamp(max: groups.Count - 1);
        var target = index - begins.index_select(0, own) + starts.index_select(0, own);
        return (where(group.ge(groups.Count), tensor(long.MaxValue / 2, device: ends.device), target), starts, sizes);
    }

    private static long Up(long value, long multiple) => (value + multiple - 1) / multiple * multiple;

    private static Tensor Bytes(Tensor scale) => AtenGateway.ViewDtype(scale.contiguous(), ScalarType.Byte);

    private static Tensor As(Tensor bytes) => AtenGateway.ViewDtype(bytes, Float8Format.E8M0.Type);
}
