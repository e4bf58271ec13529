// MX cast with blocks along columns, written transposed: the result is what mx_dim0 would make of the contiguous transpose. Or blocks in both directions, in the same pass over x.
#include "mx.cuh"
#include "tile.cuh"

// The scales of one direction and what they are written to; null is not written.
struct MxScales
{
    int mode;
    u8 *plain, *swizzled;
};

// The bytes of a tile's scales, 4 to a line, to their places; a line is a row of x for blocks along rows, a column for blocks along columns. Tiles of both layouts are as large as a tile
// of the cast, so that each is written whole, with the zeros that fill the swizzled layout up.
DEVICE void write_scales(const u32* words, MxScales to, i64 line0, i64 block0, i64 lines, i64 blocks)
{
    const int line = threadIdx.x;
    if (line >= tile_side) return;
    const u32 word = words[line];
    if (to.swizzled != nullptr) *reinterpret_cast<u32*>(to.swizzled + mx_swizzled((u32)(line0 + line), (u32)block0, blocks)) = word;
    if (to.plain == nullptr || line0 + line >= lines) return;
    u8* p = to.plain + (line0 + line) * blocks + block0;
    if (blocks % 4 == 0 && aligned(to.plain)) *reinterpret_cast<u32*>(p) = word;
    else
        for (int k = 0; k < 4; k++)
            if (block0 + k < blocks) p[k] = (u8)(word >> (8 * k));
}

// x [R, C] -> yt [C, R'], R' = R filled up with zeros to whole blocks, scales [C, R' / 32]; where y is not null C is a multiple of 32, and y [R, C] with scales [R, C / 32] is written too.
// Blocks stride over tiles of 128 x 128. A warp takes squares of 32 x 32, so that both kinds of blocks lie within it: N columns to a thread, and rows in groups of four.
// Both: y is not null. whole: x and y are aligned, and rows made of whole packs.
template <typename F, bool Both, bool whole, typename T>
DEVICE void mx_dim1(const T* x, i64 rows, i64 columns, u8* yt, MxScales down, u8* y, MxScales along, u32* tile, u32* row_scales, u32* column_scales)
{
    constexpr int N = lanes_of<T>(), across = 32 / N, groups = across / 4, squares = tile_side / 32, turns = squares * squares / (tile_threads / 32);
    DYNAMIC_SHARED(memory);
    const i64 filled = (rows + 31) / 32 * 32, row_blocks = columns / 32, column_blocks = filled / 32;
    const bool whole_columns = aligned(yt);
    const u32 tiles_across = (u32)((columns + tile_side - 1) / tile_side), tiles = tiles_across * (u32)((rows + tile_side - 1) / tile_side);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, inner = lane % across * N, first_group = lane / across * groups;
    const int square_column = warp % squares, column = square_column * 32 + inner;
    const TileSource<whole, across, T> source(x, rows, columns, memory);
    // The first of a thread's groups of rows in a turn.
    const auto group_of = [=](int turn) { return (warp / squares + turn * (tile_threads / 32 / squares)) * 8 + first_group; };
    const auto bring = [=](u32 t, int turn)
    {
        // Beyond the last tile there are no rows.
        source.bring(turn, (i64)(t / tiles_across) * tile_side + 4 * group_of(turn), (i64)(t % tiles_across) * tile_side + column);
    };
    UNROLL for (int turn = 0; turn < turns; turn++) bring(blockIdx.x, turn);
    for (u32 t = blockIdx.x; t < tiles; t += gridDim.x)
    {
        const i64 row0 = (i64)(t / tiles_across) * tile_side, column0 = (i64)(t % tiles_across) * tile_side, c = column0 + column, count = columns - c;
        // One after the other: both at once would not fit into the registers of a thread.
        NO_UNROLL for (int turn = 0; turn < turns; turn++)
        {
            const int group0 = group_of(turn);
            Raw<T, N> packs[across];
            source.take(turn, row0 + 4 * group0, c, packs);
            bring(t + gridDim.x, turn);
            u32 of_columns[4] = {};
            UNROLL for (int r = 0; r < across; r++)
                UNROLL for (int k = 0; k < 4; k++) of_columns[k] = larger<T>(of_columns[k], magnitudes<T>(packs[r].words[k]));

            // As many threads hold parts of a column's block as columns lie in a pack: `across` lanes apart.
            const int i = lane / across;
            const u32 e = mx_scale<F>(join_columns_of_words<T>(of_columns, i, across), down.mode);
            const bool filled_block = column0 + column + i < columns && row0 + group0 / 8 * 32 < filled;
            reinterpret_cast<u8*>(column_scales)[(column + i) * 4 + group0 / 8] = filled_block ? (u8)e : (u8)0;
            const Reciprocals<N> factor(e, i, across);
            UNROLL for (int g = 0; g < groups; g++)
            {
                u32 words[4][N / 4];
                UNROLL for (int j = 0; j < 4; j++) encode_pack<F>(unpack(packs[4 * g + j]), factor, words[j]);
                tile_put(tile, column, group0 + g, words);
            }

            if constexpr (Both)
            {
                // As many threads hold parts of a row's block as each has rows: neighbours.
                u32 of_rows[across];
                UNROLL for (int r = 0; r < across; r++) of_rows[r] = largest_of<T>(largest(0u, packs[r]));
                const int own = lane % across, row_in_tile = 4 * group0 + own;
                const u32 row_e = mx_scale<F>(join_parts(of_rows, own, 1), along.mode);
                const bool exists = row0 + row_in_tile < rows && column0 + square_column * 32 < columns;
                reinterpret_cast<u8*>(row_scales)[row_in_tile * 4 + square_column] = exists ? (u8)row_e : (u8)0;
                const Reciprocals<across> reciprocals(row_e, own, 1);
                u8* to = y + (row0 + 4 * group0) * columns + c;
                UNROLL for (int r = 0; r < across; r++)
                {
                    if (row0 + 4 * group0 + r >= rows || count <= 0) continue;
                    const float reciprocal = reciprocals(r);
                    u32 words[N / 4];
                    encode_pack<F>(unpack(packs[r]), [=](int) { return reciprocal; }, words);
                    store_words(to + r * columns, words, whole, count);
                }
            }
        }

        __syncthreads();
        tile_write(tile, column0, row0, columns, filled, whole_columns, yt);
        write_scales(column_scales, down, column0, row0 / 32, columns, column_blocks);
        if (Both) write_scales(row_scales, along, row0, column0 / 32, rows, row_blocks);
        __syncthreads();  // the tile has been read
    }
}

template <typename F, typename T> DEVICE void mx_dim1(const T* x, i64 rows, i64 columns, u8* yt, MxScales down, u8* y, MxScales along)
{
    __shared__ __align__(16) u32 tile[tile_words];
    __shared__ u32 row_scales[tile_side], column_scales[tile_side];
    const bool whole = aligned(x) && (y == nullptr || aligned(y)) && columns % lanes_of<T>() == 0;
    if (whole && y != nullptr) mx_dim1<F, true, true>(x, rows, columns, yt, down, y, along, tile, row_scales, column_scales);
    else if (whole) mx_dim1<F, false, true>(x, rows, columns, yt, down, y, along, tile, row_scales, column_scales);
    else if (y != nullptr) mx_dim1<F, true, false>(x, rows, columns, yt, down, y, along, tile, row_scales, column_scales);
    else mx_dim1<F, false, false>(x, rows, columns, yt, down, y, along, tile, row_scales, column_scales);
}

#define CAST(T, F, NAME)                                                                                                              \
    KERNEL_OF(tile_threads, 3) NAME(                                                                                                  \
        const T* x, i64 rows, i64 columns, int mode, u8* yt, u8* scales, u8* swizzled, int row_mode, u8* y, u8* row_scales, u8* row_swizzled) \
    {                                                                                                                                 \
        mx_dim1<F>(x, rows, columns, yt, MxScales { mode, scales, swizzled }, y, MxScales { row_mode, row_scales, row_swizzled });    \
    }
CAST(bf16, E4m3, mx_dim1_bf16_e4m3)
CAST(bf16, E5m2, mx_dim1_bf16_e5m2)
CAST(float, E4m3, mx_dim1_f32_e4m3)
CAST(float, E5m2, mx_dim1_f32_e5m2)
#undef CAST
