// amax along rows: one warp per row.
#include "loads.cuh"
#include "reduce.cuh"

// x [R, C] -> amax [R].
template <typename T> DEVICE void amax_rows(const T* x, i64 rows, i64 columns, float* amax)
{
    constexpr int N = lanes_of<T>();
    const bool whole = aligned(x) && columns % N == 0;
    const int lane = threadIdx.x % 32, warps = blockDim.x / 32;
    for (i64 row = (i64)blockIdx.x * warps + threadIdx.x / 32; row < rows; row += (i64)gridDim.x * warps)
    {
        const T* from = x + row * columns;
        u32 best = 0;
        for (i64 first = lane * N; first < columns; first += 32 * N * loads)
        {
            Raw<T, N> kept[loads] {};
            UNROLL for (int u = 0; u < loads; u++)
            {
                const i64 c = first + u * 32 * N;
                if (c < columns) kept[u] = fetch<N>(from + c, whole, columns - c);
            }

            UNROLL for (int u = 0; u < loads; u++)
            {
                const Pack<T, N> pack = unpack(kept[u]);
                UNROLL for (int k = 0; k < N; k++) best = Max::of(best, magnitude(pack.at[k]));
            }
        }

        best = reduce_warp<Max>(best);
        if (lane == 0) amax[row] = from_magnitude(best);
    }
}

KERNEL amax_rows_bf16(const bf16* x, i64 rows, i64 columns, float* amax) { amax_rows(x, rows, columns, amax); }
KERNEL amax_rows_f32(const float* x, i64 rows, i64 columns, float* amax) { amax_rows(x, rows, columns, amax); }
