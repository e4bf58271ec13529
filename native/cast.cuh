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

// A scale for each row, or for each column: a thread keeps those of its columns.
struct RowFactors
{
    const float* scale;
    float of_row;

    DEVICE explicit RowFactors(const float* s) : scale(s), of_row(0.0f) {}
    DEVICE void columns(i64, i64) {}
    DEVICE void row(i64 r) { of_row = scale[r]; }
    DEVICE bool covers() const { return true; }
    DEVICE float operator()(int) const { return of_row; }
};

template <int N> struct ColumnFactors
{
    const float* scale;
    float own[N];

    DEVICE explicit ColumnFactors(const float* s) : scale(s) {}

    // Columns c .. c + count - 1 of the thread's N.
    DEVICE void columns(i64 c, i64 count)
    {
        UNROLL for (int k = 0; k < N; k++) own[k] = k < count ? scale[c + k] : 0.0f;
    }

    DEVICE void row(i64) {}
    DEVICE bool covers() const { return true; }
    DEVICE float operator()(int k) const { return own[k]; }
};

// One scale for everything.
struct OneFactor
{
    float scale;

    DEVICE void columns(i64, i64) {}
    DEVICE void row(i64) {}
    DEVICE bool covers() const { return true; }
    DEVICE float operator()(int) const { return scale; }
};

// x [R, C] -> y [R, C] (not written where null) and yt [C, R]. Blocks stride over the tiles; a thread takes four rows of as many columns as one access has, in two turns, or four of fp32.
// FromTheEnd: the last tiles first.
template <typename F, bool FromTheEnd, bool Whole, typename T, typename Factor> DEVICE void cast_tiles(const T* x, Factor factor, i64 rows, i64 columns, u8* y, u8* yt, u32* tile)
{
    constexpr int N = lanes_of<T>(), threads_across = tile_side / N, groups_at_once = tile_threads / threads_across, turns = tile_side / 4 / groups_at_once;
    DYNAMIC_SHARED(memory);
    const bool whole_columns = aligned(yt) && rows % 16 == 0;
    const u32 across = (u32)((columns + tile_side - 1) / tile_side), tiles = across * (u32)((rows + tile_side - 1) / tile_side);
    const int inner = threadIdx.x % threads_across * N, first_group = threadIdx.x / threads_across;
    const TileSource<Whole, 4, T> source(x, rows, columns, memory);
    const auto bring = [=](u32 t, int turn)
    {
        // Beyond the last tile there are no rows.
        if (FromTheEnd && t < tiles) t = tiles - 1 - t;
        source.bring(turn, (i64)(t / across) * tile_side + 4 * (first_group + turn * groups_at_once), (i64)(t % across) * tile_side + inner);
    };
    UNROLL for (int turn = 0; turn < turns; turn++) bring(blockIdx.x, turn);
    for (u32 t = blockIdx.x; t < tiles; t += gridDim.x)
    {
        const u32 at = FromTheEnd ? tiles - 1 - t : t;
        const i64 row0 = (i64)(at / across) * tile_side, column0 = (i64)(at % across) * tile_side, c = column0 + inner, count = columns - c;
        factor.columns(c, count);
        NO_UNROLL for (int turn = 0; turn < turns; turn++)
        {
            const int group = first_group + turn * groups_at_once;
            const i64 row = row0 + 4 * group;
            Raw<T, N> packs[4];
            source.take(turn, row, c, packs);
            bring(t + gridDim.x, turn);
            u32 words[4][N / 4];
            UNROLL for (int j = 0; j < 4; j++)
            {
                const bool exists = row + j < rows && count > 0;
                if (exists) factor.row(row + j);
                if (!factor.covers()) packs[j] = Raw<T, N> {};
                encode_pack<F>(unpack(packs[j]), factor, words[j]);
                if (exists && y != nullptr) store_words(y + (row + j) * columns + c, words[j], Whole, count);
            }

            tile_put(tile, inner, group, words);
        }

        __syncthreads();
        tile_write(tile, column0, row0, columns, rows, whole_columns, yt);
        __syncthreads();  // the tile has been read
    }
}

template <typename F, bool FromTheEnd, typename T, typename Factor> DEVICE void cast_tiles(const T* x, Factor factor, i64 rows, i64 columns, u8* y, u8* yt, u32* tile)
{
    if (aligned(x) && (y == nullptr || aligned(y)) && columns % lanes_of<T>() == 0) cast_tiles<F, FromTheEnd, true>(x, factor, rows, columns, y, yt, tile);
    else cast_tiles<F, FromTheEnd, false>(x, factor, rows, columns, y, yt, tile);
}
