// amax along columns, in two stages: each block row of the grid takes every gridDim.y-th row, then the maxima of the block rows are joined.
#include "reduce.cuh"

// x [R, C] -> partial [gridDim.y, C]. A thread owns the neighbouring columns that one 16-byte access moves.
template <typename T> DEVICE void amax_columns_partial(const T* x, i64 rows, i64 columns, u32* partial)
{
    constexpr int N = lanes_of<T>();
    const bool whole = aligned(x) && aligned(partial) && columns % N == 0;
    for (i64 c = ((i64)blockIdx.x * blockDim.x + threadIdx.x) * N; c < columns; c += (i64)gridDim.x * blockDim.x * N)
    {
        u32 best[N] = {};
        for (i64 row = blockIdx.y; row < rows; row += gridDim.y)
        {
            const Pack<T, N> pack = load<N>(x + row * columns + c, whole, columns - c);
            for (int k = 0; k < N; k++) best[k] = Max::of(best[k], magnitude(pack.at[k]));
        }

        u32* to = partial + blockIdx.y * columns + c;
        for (int k = 0; k < N; k += 4)
            store<4>(to + k, Pack<u32, 4> { { best[k], best[k + 1], best[k + 2], best[k + 3] } }, whole, columns - c - k);
    }
}

KERNEL amax_columns_partial_bf16(const bf16* x, i64 rows, i64 columns, u32* partial) { amax_columns_partial(x, rows, columns, partial); }
KERNEL amax_columns_partial_f32(const float* x, i64 rows, i64 columns, u32* partial) { amax_columns_partial(x, rows, columns, partial); }

// partial [P, C] -> amax [C].
KERNEL amax_columns_finish(const u32* partial, i64 parts, i64 columns, float* amax)
{
    for (i64 c = (i64)blockIdx.x * blockDim.x + threadIdx.x; c < columns; c += (i64)gridDim.x * blockDim.x)
    {
        u32 best = 0;
        for (i64 p = 0; p < parts; p++) best = Max::of(best, partial[p * columns + c]);
        amax[c] = from_magnitude(best);
    }
}
