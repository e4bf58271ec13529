// MX cast with blocks along columns, written transposed: the result is what mx_dim0 would make of the contiguous transpose. Or blocks in both directions, in the same pass over x.
#include "mx.cuh"
#include "reduce.cuh"
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
template <typename F, typename T> DEVICE void mx_dim1(const T* x, i64 rows, i64 columns, u8* yt, MxScales down, u8* y, MxScales along)
{
    constexpr int N = lanes_of<T>(), across = 32 / N, groups = across / 4, squares = tile_side / 32, turns = squares * squares / (tile_threads / 32);
    __shared__ __align__(16) u32 tile[tile_words];
    __shared__ u32 row_scales[tile_side], column_scales[tile_side];
    const i64 filled = (rows + 31) / 32 * 32, row_blocks = columns / 32, column_blocks = filled / 32;
    const bool whole = aligned(x) && (y == nullptr || aligned(y)) && columns % N == 0, whole_columns = aligned(yt);
    const u32 tiles_across = (u32)((columns + tile_side - 1) / tile_side), tiles = tiles_across * (u32)((rows + tile_side - 1) / tile_side);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, inner = lane % across * N, first_group = lane / across * groups;
    for (u32 t = blockIdx.x; t < tiles; t += gridDim.x)
    {
        const i64 row0 = (i64)(t / tiles_across) * tile_side, column0 = (i64)(t % tiles_across) * tile_side;
        UNROLL for (int turn = 0; turn < turns; turn++)
        {
            const int square_column = warp % squares, square_row = warp / squares + turn * (tile_threads / 32 / squares);
            const int column = square_column * 32 + inner, group0 = square_row * 8 + first_group;
            const i64 c = column0 + column, count = columns - c;
            Raw<T, N> packs[groups][4] {};
            u32 of_column[N] = {}, of_row[groups][4];
            UNROLL for (int g = 0; g < groups; g++)
                UNROLL for (int j = 0; j < 4; j++)
                {
                    const i64 row = row0 + 4 * (group0 + g) + j;
                    if (row < rows && count > 0) packs[g][j] = fetch<N>(x + row * columns + c, whole, count);
                }

            UNROLL for (int g = 0; g < groups; g++)
                UNROLL for (int j = 0; j < 4; j++)
                {
                    const Pack<T, N> pack = unpack(packs[g][j]);
                    of_row[g][j] = 0;
                    UNROLL for (int k = 0; k < N; k++)
                    {
                        const u32 m = magnitude(pack.at[k]);
                        of_row[g][j] = Max::of(of_row[g][j], m);
                        of_column[k] = Max::of(of_column[k], m);
                    }
                }

            // The threads of a column's block are `across` lanes apart.
            float factor[N];
            UNROLL for (int k = 0; k < N; k++)
            {
                UNROLL for (int distance = 16; distance >= across; distance >>= 1)
                    of_column[k] = Max::of(of_column[k], __shfl_xor_sync(0xffffffffu, of_column[k], distance));
                const u32 e = mx_scale<F>(of_column[k], down.mode);
                factor[k] = mx_reciprocal(e);
                const bool exists = k < count && row0 + square_row * 32 < filled;
                if (lane < across) reinterpret_cast<u8*>(column_scales)[(column + k) * 4 + square_row] = exists ? (u8)e : (u8)0;
            }

            UNROLL for (int g = 0; g < groups; g++)
            {
                u32 words[4][N / 4];
                UNROLL for (int j = 0; j < 4; j++) encode_pack<F>(unpack(packs[g][j]), [&](int k) { return factor[k]; }, words[j]);
                tile_put(tile, column, group0 + g, words);
            }

            if (y == nullptr) continue;
            UNROLL for (int g = 0; g < groups; g++)
                UNROLL for (int j = 0; j < 4; j++)
                {
                    u32 amax = of_row[g][j];
                    UNROLL for (int distance = across / 2; distance > 0; distance >>= 1) amax = Max::of(amax, __shfl_xor_sync(0xffffffffu, amax, distance));
                    const int r = 4 * (group0 + g) + j;
                    const bool exists = row0 + r < rows && count > 0;
                    const u32 e = mx_scale<F>(amax, along.mode);
                    if (lane % across == 0) reinterpret_cast<u8*>(row_scales)[r * 4 + square_column] = exists ? (u8)e : (u8)0;
                    if (!exists) continue;
                    const float reciprocal = mx_reciprocal(e);
                    u32 words[N / 4];
                    encode_pack<F>(unpack(packs[g][j]), [=](int) { return reciprocal; }, words);
                    store_words(y + (row0 + r) * columns + c, words, whole, count);
                }
        }

        __syncthreads();
        tile_write(tile, column0, row0, columns, filled, whole_columns, yt);
        write_scales(column_scales, down, column0, row0 / 32, columns, column_blocks);
        if (y != nullptr) write_scales(row_scales, along, row0, column0 / 32, rows, row_blocks);
        __syncthreads();  // the tile has been read
    }
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
