// float8 = encode(x * scale) in three traversals: as the elements come, along rows, and transposed through a tile.
#pragma once
#include "float8.cuh"
#include "loads.cuh"
#include "tile.cuh"

// x [count] -> y [count] with one scale.
template <typename F, typename T> DEVICE void cast_flat(const T* x, float scale, i64 count, u8* y)
{
    constexpr int N = lanes_of<T>();
    const auto factor = [=](int) { return scale; };
    const i64 packs = aligned(x) && aligned(y) ? count / N : 0;
    for (i64 first = (i64)blockIdx.x * blockDim.x * loads + threadIdx.x; first < packs; first += (i64)gridDim.x * blockDim.x * loads)
    {
        Raw<T, N> kept[loads] {};
        UNROLL for (int u = 0; u < loads; u++)
        {
            const i64 pack = first + u * blockDim.x;
            if (pack < packs) kept[u] = fetch<N>(x + pack * N, true, N);
        }

        UNROLL for (int u = 0; u < loads; u++)
        {
            const i64 pack = first + u * blockDim.x;
            if (pack >= packs) continue;
            u32 words[N / 4];
            encode_pack<F>(unpack(kept[u]), factor, words);
            store_words(y + pack * N, words, true, N);
        }
    }

    // What fills no pack; all of it where memory is not aligned.
    for (i64 i = packs * N + (i64)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += (i64)gridDim.x * blockDim.x) y[i] = encode<F>(times(widen(x[i]), scale));
}

// The scale of an element is scale[row * row_step + column * column_step]: steps (0, 0) one scale, (1, 0) one per row, (0, 1) one per column. A thread keeps those of its columns.
template <int N> struct Factors
{
    const float* scale;
    i64 row_step, column_step;
    float own[N];
    float of_row;

    DEVICE Factors(const float* s, i64 rows, i64 columns) : scale(s), row_step(rows), column_step(columns), of_row(0.0f) {}

    // Columns c .. c + count - 1 of the thread's N.
    DEVICE void columns(i64 c, i64 count)
    {
        UNROLL for (int k = 0; k < N; k++) own[k] = scale[column_step != 0 && k < count ? c + k : 0];
    }

    DEVICE void row(i64 r)
    {
        if (row_step != 0) of_row = scale[r];
    }

    DEVICE float operator()(int k) const { return row_step != 0 ? of_row : own[k]; }
};

// One scale for everything.
struct OneFactor
{
    float scale;

    DEVICE void columns(i64, i64) {}
    DEVICE void row(i64) {}
    DEVICE float operator()(int) const { return scale; }
};

// x [R, C] -> y [R, C] (not written where null) and yt [C, R]. Blocks stride over the tiles; a thread takes four rows of as many columns as one access has.
template <typename F, typename T, typename Factor> DEVICE void cast_tiles(const T* x, Factor factor, i64 rows, i64 columns, u8* y, u8* yt)
{
    constexpr int N = lanes_of<T>(), threads_across = tile_side / N, groups_at_once = tile_threads / threads_across;
    __shared__ __align__(16) u32 tile[tile_words];
    const bool whole_rows = aligned(x) && (y == nullptr || aligned(y)) && columns % N == 0, whole_columns = aligned(yt) && rows % 16 == 0;
    const u32 across = (u32)((columns + tile_side - 1) / tile_side), tiles = across * (u32)((rows + tile_side - 1) / tile_side);
    const int inner = threadIdx.x % threads_across * N, first_group = threadIdx.x / threads_across;
    for (u32 t = blockIdx.x; t < tiles; t += gridDim.x)
    {
        const i64 row0 = (i64)(t / across) * tile_side, column0 = (i64)(t % across) * tile_side, c = column0 + inner, count = columns - c;
        factor.columns(c, count);
        for (int group = first_group; group < tile_side / 4; group += groups_at_once)
        {
            const i64 row = row0 + 4 * group;
            Raw<T, N> packs[4] {};
            UNROLL for (int j = 0; j < 4; j++)
                if (row + j < rows && count > 0) packs[j] = fetch<N>(x + (row + j) * columns + c, whole_rows, count);
            u32 words[4][N / 4];
            UNROLL for (int j = 0; j < 4; j++)
            {
                const bool exists = row + j < rows && count > 0;
                if (exists) factor.row(row + j);
                encode_pack<F>(unpack(packs[j]), factor, words[j]);
                if (exists && y != nullptr) store_words(y + (row + j) * columns + c, words[j], whole_rows, count);
            }

            tile_put(tile, inner, group, words);
        }

        __syncthreads();
        tile_write(tile, column0, row0, columns, rows, whole_columns, yt);
        __syncthreads();  // the tile has been read
    }
}
