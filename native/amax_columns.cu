// amax along columns, in two stages: each block takes a share of the rows, then the maxima of the blocks are joined, to amaxes or at once to scales. Maxima are kept in x's dtype, which
// holds them exactly.
#include "columns.cuh"
#include "loads.cuh"
#include "scale.cuh"

constexpr int block_threads = 256;

// x [R, C] -> partial [gridDim.y, C]. A thread owns the neighbouring columns that one 16-byte access moves, and several rows at a time; the grid covers all columns.
template <typename T> DEVICE void amax_columns_partial(const T* x, i64 rows, i64 columns, T* partial)
{
    constexpr int N = lanes_of<T>();
    __shared__ __align__(16) u32 shared[block_threads * N];
    const i64 column0 = (i64)blockIdx.x * blockDim.x * N, c = column0 + threadIdx.x * N, count = columns - c, step = blockDim.y;
    const bool whole = aligned(x) && columns % N == 0;
    u32 best[N] = {};
    for (i64 first = (i64)blockIdx.y * step * loads + threadIdx.y; first < rows && count > 0; first += gridDim.y * step * loads)
    {
        Raw<T, N> kept[loads] {};
        UNROLL for (int u = 0; u < loads; u++)
            if (first + u * step < rows) kept[u] = fetch<N>(x + (first + u * step) * columns + c, whole, count);
        UNROLL for (int u = 0; u < loads; u++)
        {
            const Pack<T, N> pack = unpack(kept[u]);
            UNROLL for (int k = 0; k < N; k++) best[k] = Max::of(best[k], magnitude(pack.at[k]));
        }
    }

    join_columns<N>(best, shared, [=](int column, u32 all)
    {
        if (column0 + column < columns) partial[blockIdx.y * columns + column0 + column] = as_element<T>(all);
    });
}

KERNEL amax_columns_partial_bf16(const bf16* x, i64 rows, i64 columns, bf16* partial) { amax_columns_partial(x, rows, columns, partial); }
KERNEL amax_columns_partial_f32(const float* x, i64 rows, i64 columns, float* partial) { amax_columns_partial(x, rows, columns, partial); }

// partial [P, C] -> amax [C], and scale and inverse [C]; what is null is not written. max and scale_of_zero are the format's.
template <typename T>
DEVICE void amax_columns_finish(const T* partial, i64 parts, i64 columns, float max, float scale_of_zero, int power_of_two, float* amax, float* scale, float* inverse)
{
    constexpr int N = lanes_of<T>();
    __shared__ __align__(16) u32 shared[block_threads * N];
    const bool whole = aligned(partial) && columns % N == 0;
    const i64 step = blockDim.y;
    for (i64 column0 = (i64)blockIdx.x * blockDim.x * N; column0 < columns; column0 += (i64)gridDim.x * blockDim.x * N)
    {
        const i64 c = column0 + threadIdx.x * N, count = columns - c;
        u32 best[N] = {};
        for (i64 first = threadIdx.y; first < parts && count > 0; first += step * loads)
        {
            Raw<T, N> kept[loads] {};
            UNROLL for (int u = 0; u < loads; u++)
                if (first + u * step < parts) kept[u] = fetch<N>(partial + (first + u * step) * columns + c, whole, count);
            UNROLL for (int u = 0; u < loads; u++)
            {
                const Pack<T, N> pack = unpack(kept[u]);
                UNROLL for (int k = 0; k < N; k++) best[k] = Max::of(best[k], magnitude(pack.at[k]));
            }
        }

        join_columns<N>(best, shared, [=](int column, u32 all)
        {
            const i64 at = column0 + column;
            if (at >= columns) return;
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
