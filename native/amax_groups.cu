// amax along the columns of each group of rows. Blocks take shares of the rows and join their maxima in memory: the order does not matter to a maximum.
#include "groups.cuh"
#include "magnitudes.cuh"

// Rows that a thread has under way.
constexpr int group_loads = 8;

// x [R, C] -> amax [groups, C], fp32 bits of magnitudes, 0 before. A thread owns the neighbouring columns that one 16-byte access moves, and flushes their maxima where a group ends.
template <typename T> DEVICE void amax_groups(const T* x, const int* ends, int groups, i64 rows, i64 columns, u32* amax)
{
    constexpr int N = lanes_of<T>();
    const i64 c = ((i64)blockIdx.x * blockDim.x + threadIdx.x) * N, share = (rows + gridDim.y - 1) / gridDim.y, begin = blockIdx.y * share;
    const i64 last = begin + share < rows ? begin + share : rows;
    if (c >= columns) return;
    const bool whole = aligned(x) && columns % N == 0;
    int group = groups;
    i64 end = 0;
    u32 best[4] = {};
    const auto flush = [&]
    {
        if (group == groups) return;
        UNROLL for (int k = 0; k < N; k++)
            if (c + k < columns) atomicMax(amax + (i64)group * columns + c + k, magnitude_at<T>(best, k));
    };
    for (i64 first = begin + threadIdx.y; first < last; first += (i64)blockDim.y * group_loads)
    {
        Raw<T, N> kept[group_loads] {};
        UNROLL for (int u = 0; u < group_loads; u++)
        {
            const i64 row = first + (i64)u * blockDim.y;
            if (row < last) kept[u] = fetch<N>(x + row * columns + c, whole, columns - c);
        }

        UNROLL for (int u = 0; u < group_loads; u++)
        {
            const i64 row = first + (i64)u * blockDim.y;
            if (row >= last) continue;
            if (row >= end)
            {
                flush();
                group = group_of(ends, groups, row);
                end = group == groups ? rows : ends[group];
                UNROLL for (int k = 0; k < 4; k++) best[k] = 0;
            }

            UNROLL for (int k = 0; k < 4; k++) best[k] = larger<T>(best[k], magnitudes<T>(kept[u].words[k]));
        }
    }

    flush();
}

KERNEL amax_groups_bf16(const bf16* x, const int* ends, int groups, i64 rows, i64 columns, u32* amax) { amax_groups(x, ends, groups, rows, columns, amax); }
KERNEL amax_groups_f32(const float* x, const int* ends, int groups, i64 rows, i64 columns, u32* amax) { amax_groups(x, ends, groups, rows, columns, amax); }
