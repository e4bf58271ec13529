// MX cast with blocks along columns, written transposed: the result is what mx_dim0 would make of the contiguous transpose, in one pass.
#include "mx.cuh"
#include "reduce.cuh"
#include "tile.cuh"

// x [R, C], R a multiple of 32 -> yt [C, R], scales [C, R / 32], plain or swizzled (then the caller has zeroed the padding). Blocks stride over the tiles.
template <typename F, typename T>
DEVICE void mx_dim1(const T* x, i64 rows, i64 columns, int mode, int swizzled, u8* yt, u8* scales)
{
    constexpr int N = lanes_of<T>(), packs = tile_side / N, rows_at_once = tile_threads / packs;
    // Padded to the next bank, like the byte tile, and still a multiple of 16 bytes per row.
    constexpr int pitch = tile_side + N;
    __shared__ __align__(16) T tile[tile_side * pitch];
    const bool whole_rows = aligned(x) && columns % N == 0, whole_columns = aligned(yt);
    const i64 across = (columns + tile_side - 1) / tile_side, tiles = across * ((rows + tile_side - 1) / tile_side), blocks = rows / 32;
    for (i64 t = blockIdx.x; t < tiles; t += gridDim.x)
    {
        const i64 row0 = t / across * tile_side, column0 = t % across * tile_side;
        const int inner = threadIdx.x % packs * N;
        const i64 c = column0 + inner;
        for (int r = threadIdx.x / packs; r < tile_side; r += rows_at_once)
        {
            Pack<T, N> pack {};
            if (row0 + r < rows && c < columns) pack = load<N>(x + (row0 + r) * columns + c, whole_rows, columns - c);
            store<N>(tile + r * pitch + inner, pack, true, N);
        }

        __syncthreads();
        // Two neighbouring threads hold the two halves of a block.
        T values[16];
        u32 amax = 0;
        for (int k = 0; k < 16; k++)
        {
            values[k] = tile[(tile_first_row() + k) * pitch + tile_column()];
            amax = Max::of(amax, magnitude(values[k]));
        }

        amax = Max::of(amax, __shfl_xor_sync(0xffffffffu, amax, 1));
        const i64 column = column0 + tile_column(), row = row0 + tile_first_row();
        if (column < columns && row < rows)
        {
            const u32 e = mx_scale<F>(amax, mode);
            const float reciprocal = mx_reciprocal(e);
            Pack<u8, 16> bytes;
            for (int k = 0; k < 16; k += 2) encode2<F>(times(widen(values[k]), reciprocal), times(widen(values[k + 1]), reciprocal), bytes.at + k);
            store<16>(yt + column * rows + row, bytes, whole_columns, 16);
            if (row % 32 == 0) scales[mx_scale_offset(column, row / 32, blocks, swizzled != 0)] = (u8)e;
        }

        __syncthreads();  // the tile has been read
    }
}

#define CAST(T, F, NAME)                                                                                                              \
    KERNEL NAME(const T* x, i64 rows, i64 columns, int mode, int swizzled, u8* yt, u8* scales)                                       \
    {                                                                                                                                 \
        mx_dim1<F>(x, rows, columns, mode, swizzled, yt, scales);                                                                     \
    }
CAST(bf16, E4m3, mx_dim1_bf16_e4m3)
CAST(bf16, E5m2, mx_dim1_bf16_e5m2)
CAST(float, E4m3, mx_dim1_f32_e4m3)
CAST(float, E5m2, mx_dim1_f32_e5m2)
#undef CAST
