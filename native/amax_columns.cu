// amax along columns, in two stages: each block takes a share of the rows, then the maxima of the blocks are joined, to amaxes or at once to scales. Maxima are kept in x's dtype, which
// holds them exactly.
#include "columns.cuh"
#include "scale.cuh"

// Rows that a thread has under way.
constexpr int block_threads = 256, column_loads = 8;

// The largest of rows first, first + apart, ... below `rows` in the columns of a thread's piece, several at a time.
template <typename T> DEVICE void amax_of_piece(const T* x, i64 first, i64 apart, i64 step, i64 rows, i64 columns, i64 c, bool whole, u32 (&best)[4])
{
    constexpr int N = lanes_of<T>();
    for (; first < rows; first += step * column_loads)
    {
        Raw<T, N> kept[column_loads] {};
        UNROLL for (int u = 0; u < column_loads; u++)
            if (first + u * apart < rows) kept[u] = fetch<N>(x + (first + u * apart) * columns + c, whole, columns - c);
        UNROLL for (int u = 0; u < column_loads; u++)
            UNROLL for (int k = 0; k < 4; k++) best[k] = larger<T>(best[k], magnitudes<T>(kept[u].words[k]));
    }
}

// x [R, C] -> partial [gridDim.y, C]. A thread owns the neighbouring columns that one 16-byte access moves; the grid covers all columns.
template <typename T> DEVICE void amax_columns_partial(const T* x, i64 rows, i64 columns, T* partial)
{
    constexpr int N = lanes_of<T>();
    __shared__ __align__(16) u32 shared[block_threads * 4];
    const i64 column0 = (i64)blockIdx.x * blockDim.x * N, c = column0 + threadIdx.x * N, apart = blockDim.y;
    u32 best[4] = {};
    if (c < columns)
        amax_of_piece(x, (i64)blockIdx.y * apart * column_loads + threadIdx.y, apart, gridDim.y * apart, rows, columns, c, aligned(x) && columns % N == 0, best);
    join_columns<T>(best, shared, [=](int column, u32 word, int k)
    {
        if (column0 + column < columns) partial[blockIdx.y * columns + column0 + column] = element<T>(word, k);
    });
}

KERNEL amax_columns_partial_bf16(const bf16* x, i64 rows, i64 columns, bf16* partial) { amax_columns_partial(x, rows, columns, partial); }
KERNEL amax_columns_partial_f32(const float* x, i64 rows, i64 columns, float* partial) { amax_columns_partial(x, rows, columns, partial); }

// partial [P, C] -> amax [C], and scale and inverse [C]; what is null is not written. max and scale_of_zero are the format's.
template <typename T>
DEVICE void amax_columns_finish(const T* partial, i64 parts, i64 columns, float max, float scale_of_zero, int power_of_two, float* amax, float* scale, float* inverse)
{
    constexpr int N = lanes_of<T>();
    __shared__ __align__(16) u32 shared[block_threads * 4];
    const bool whole = aligned(partial) && columns % N == 0;
    for (i64 column0 = (i64)blockIdx.x * blockDim.x * N; column0 < columns; column0 += (i64)gridDim.x * blockDim.x * N)
    {
        const i64 c = column0 + threadIdx.x * N, apart = blockDim.y;
        u32 best[4] = {};
        if (c < columns) amax_of_piece(partial, (i64)threadIdx.y, apart, apart, parts, columns, c, whole, best);
        join_columns<T>(best, shared, [=](int column, u32 word, int k)
        {
            const i64 at = column0 + column;
            if (at >= columns) return;
            const u32 all = magnitude(element<T>(word, k));
            if (amax != nullptr) amax[at] = from_magnitude(all);
            if (scale == nullptr) return;
            const float s = scale_of_amax(all, max, scale_of_zero, power_of_two);
            scale[at] = s;
            inverse[at] = 1.0f / s;
        });
    }
}

KERNEL amax_columns_finish_bf16(
    const bf16* partial, i64 parts, i64 columns, float max, float scale_of_zero, int power_of_two, float* amax, float* scale, float* inverse)
{
    amax_columns_finish(partial, parts, columns, max, scale_of_zero, power_of_two, amax, scale, inverse);
}

KERNEL amax_columns_finish_f32(
    const float* partial, i64 parts, i64 columns, float max, float scale_of_zero, int power_of_two, float* amax, float* scale, float* inverse)
{
    amax_columns_finish(partial, parts, columns, max, scale_of_zero, power_of_two, amax, scale, inverse);
}
