// float8 = encode(x * scale), written transposed, or both ways in one pass over x.
#include "float8.cuh"
#include "tile.cuh"

// x [R, C] -> y [R, C] (not written where null) and yt [C, R]. Scale of an element: scale[row * row_step + column * column_step]. Blocks stride over the tiles.
template <typename F, typename T>
DEVICE void cast_transposed(const T* x, const float* scale, i64 row_step, i64 column_step, i64 rows, i64 columns, u8* y, u8* yt)
{
    constexpr int N = lanes_of<T>(), packs = tile_side / N, rows_at_once = tile_threads / packs;
    __shared__ __align__(16) u8 tile[tile_side * byte_pitch];
    const bool whole_rows = aligned(x) && (y == nullptr || aligned(y)) && columns % N == 0;
    const bool whole_columns = aligned(yt) && rows % 16 == 0;
    const i64 across = (columns + tile_side - 1) / tile_side, tiles = across * ((rows + tile_side - 1) / tile_side);
    for (i64 t = blockIdx.x; t < tiles; t += gridDim.x)
    {
        const i64 row0 = t / across * tile_side, column0 = t % across * tile_side;
        const int inner = threadIdx.x % packs * N;
        const i64 c = column0 + inner;
        for (int r = threadIdx.x / packs; r < tile_side; r += rows_at_once)
        {
            const i64 row = row0 + r;
            if (row >= rows || c >= columns) continue;
            const i64 count = columns - c;
            const Pack<T, N> pack = load<N>(x + row * columns + c, whole_rows, count);
            float s[N];
            for (int k = 0; k < N; k++) s[k] = scale[row * row_step + (k < count ? c + k : c) * column_step];
            Pack<u8, N> bytes;
            for (int k = 0; k < N; k += 2) encode2<F>(times(widen(pack.at[k]), s[k]), times(widen(pack.at[k + 1]), s[k + 1]), bytes.at + k);
            if (y != nullptr) store<N>(y + row * columns + c, bytes, whole_rows, count);
            for (int k = 0; k < N; k += 4)
                store<4>(tile + r * byte_pitch + inner + k, Pack<u8, 4> { { bytes.at[k], bytes.at[k + 1], bytes.at[k + 2], bytes.at[k + 3] } }, true, 4);
        }

        __syncthreads();
        const i64 column = column0 + tile_column(), row = row0 + tile_first_row();
        if (column < columns && row < rows)
        {
            Pack<u8, 16> bytes;
            for (int k = 0; k < 16; k++) bytes.at[k] = row + k < rows ? tile[(tile_first_row() + k) * byte_pitch + tile_column()] : (u8)0;
            store<16>(yt + column * rows + row, bytes, whole_columns, rows - row);
        }

        __syncthreads();  // the tile has been read
    }
}

#define CAST(T, F, NAME)                                                                                                              \
    KERNEL NAME(const T* x, const float* scale, i64 row_step, i64 column_step, i64 rows, i64 columns, u8* y, u8* yt)                 \
    {                                                                                                                                 \
        cast_transposed<F>(x, scale, row_step, column_step, rows, columns, y, yt);                                                    \
    }
CAST(bf16, E4m3, cast_transposed_bf16_e4m3)
CAST(bf16, E5m2, cast_transposed_bf16_e5m2)
CAST(float, E4m3, cast_transposed_f32_e4m3)
CAST(float, E5m2, cast_transposed_f32_e5m2)
#undef CAST
