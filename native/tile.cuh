// The 128 x 128 tile of bytes through which a matrix is transposed: read along rows, written along columns, both in 16-byte accesses. 256 threads.
#pragma once
#include "stage.cuh"

constexpr int tile_side = 128, tile_threads = 256, tile_words = tile_side * tile_side / 4;

// The pieces that a thread reads of a tile, R rows of one piece in each of its turns, from x [rows, columns]. Of bf16 in whole packs, which takes two turns, the next tile's come into shared memory, 128 bytes for
// each thread, while this one's are worked on; of fp32 there are bytes enough on their way without that.
template <bool Whole, int R, typename T> struct TileSource
{
    static constexpr int N = lanes_of<T>();
    static constexpr bool staged = Whole && sizeof(T) == 2;
    const T* x;
    i64 rows, columns;
    Place stage;

    DEVICE TileSource(const T* from, i64 r, i64 c, u32* memory) : x(from), rows(r), columns(c), stage(Place(memory) + (int)threadIdx.x) {}

    // Starts the rows from `row` on on their way, in columns from `column` on; or nothing. A group of its own in any case.
    DEVICE void bring(int turn, i64 row, i64 column) const
    {
        if (!staged) return;
        const i64 left = column < columns ? rows - row : 0;
        const T* from = x + row * columns + column;
        UNROLL for (int r = 0; r < R; r++)
            if (r < left) stage_piece(stage + (turn * R + r) * tile_threads, from + r * columns);
        end_group();
    }

    // The same rows; zeros where there are none.
    DEVICE void take(int turn, i64 row, i64 column, Raw<T, N> (&packs)[R]) const
    {
        const i64 left = column < columns ? rows - row : 0;
        const T* from = x + row * columns + column;
        // The other turn's may still be on their way.
        if (staged) await_groups<1>();
        UNROLL for (int r = 0; r < R; r++)
        {
            packs[r] = Raw<T, N> {};
            if (r < left) packs[r] = staged ? arrived<N, T>(stage + (turn * R + r) * tile_threads) : fetch<N>(from + r * columns, Whole, columns - column);
        }
    }
};

// Where the word of rows 4 * group .. + 3 of a column lies. The groups of a column are permuted so that no two threads of a warp meet in one of the 32 banks: neither the threads that
// put words of neighbouring columns and groups, nor those that take a column's runs.
DEVICE int tile_word(int column, int group)
{
    const int turn = ((column >> 3) & 3) << 3 ^ ((column >> 5) & 3) << 1 ^ ((column >> 2) & 1) ^ (column & 3);
    return column * (tile_side / 4) + (group ^ turn);
}

// Four words, each four neighbouring columns of a row, to four words that each hold a column's four rows.
DEVICE void transpose4(u32 a, u32 b, u32 c, u32 d, u32 (&columns)[4])
{
    const u32 ab01 = __byte_perm(a, b, 0x5140), ab23 = __byte_perm(a, b, 0x7362), cd01 = __byte_perm(c, d, 0x5140), cd23 = __byte_perm(c, d, 0x7362);
    columns[0] = __byte_perm(ab01, cd01, 0x5410);
    columns[1] = __byte_perm(ab01, cd01, 0x7632);
    columns[2] = __byte_perm(ab23, cd23, 0x5410);
    columns[3] = __byte_perm(ab23, cd23, 0x7632);
}

// Rows 4 * group .. + 3 of neighbouring columns, four to a word.
template <int W> DEVICE void tile_put(u32* tile, int column, int group, const u32 (&rows)[4][W])
{
    UNROLL for (int q = 0; q < W; q++)
    {
        u32 words[4];
        transpose4(rows[0][q], rows[1][q], rows[2][q], rows[3][q], words);
        UNROLL for (int k = 0; k < 4; k++) tile[tile_word(column + 4 * q + k, group)] = words[k];
    }
}

// Writes the tile to yt [columns, rows]: eight neighbouring threads write 128 neighbouring bytes of a column. `whole`: yt is aligned and rows is a multiple of 16.
DEVICE void tile_write(const u32* tile, i64 column0, i64 row0, i64 columns, i64 rows, bool whole, u8* yt)
{
    UNROLL for (int turn = 0; turn < tile_words / 4 / tile_threads; turn++)
    {
        const int index = turn * tile_threads + threadIdx.x, inner = index / (tile_side / 16), run = index % (tile_side / 16);
        const i64 column = column0 + inner, row = row0 + run * 16;
        if (column >= columns || row >= rows) continue;
        u32 words[4];
        UNROLL for (int k = 0; k < 4; k++) words[k] = tile[tile_word(inner, 4 * run + k)];
        u8* to = yt + column * rows + row;
        if (whole) write_words(to, words);
        else
            UNROLL for (int k = 0; k < 16; k++)
                if (k < rows - row) to[k] = (u8)(words[k / 4] >> (k % 4 * 8));
    }
}
