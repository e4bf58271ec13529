// amax of a whole tensor as parts, one per block, so that no atomics and no initialised memory are needed. Whoever casts takes the largest of them itself; a second kernel does so for others.
#include "loads.cuh"
#include "reduce.cuh"

// x [count] -> parts [gridDim.x]: the largest magnitude that each block has seen.
template <typename T> DEVICE void amax_parts(const T* x, i64 count, float* parts)
{
    constexpr int N = lanes_of<T>();
    __shared__ u32 shared[32];
    const i64 packs = aligned(x) ? count / N : 0, stride = (i64)gridDim.x * blockDim.x;
    u32 best = 0;
    for (i64 first = (i64)blockIdx.x * blockDim.x * loads + threadIdx.x; first < packs; first += stride * loads)
    {
        Raw<T, N> kept[loads] {};
        UNROLL for (int u = 0; u < loads; u++)
        {
            const i64 pack = first + u * blockDim.x;
            if (pack < packs) kept[u] = fetch<N>(x + pack * N, true, N);
        }

        UNROLL for (int u = 0; u < loads; u++)
        {
            const Pack<T, N> pack = unpack(kept[u]);
            UNROLL for (int k = 0; k < N; k++) best = Max::of(best, magnitude(pack.at[k]));
        }
    }

    // What fills no pack; all of it where memory is not aligned.
    for (i64 i = packs * N + (i64)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += stride) best = Max::of(best, magnitude(x[i]));
    best = reduce_block<Max>(best, shared);
    if (threadIdx.x == 0) parts[blockIdx.x] = from_magnitude(best);
}

KERNEL amax_parts_bf16(const bf16* x, i64 count, float* parts) { amax_parts(x, count, parts); }
KERNEL amax_parts_f32(const float* x, i64 count, float* parts) { amax_parts(x, count, parts); }

// parts [count] -> amax [1]. One block.
KERNEL amax_finish(const float* parts, i64 count, float* amax)
{
    __shared__ u32 shared[32];
    u32 best = 0;
    for (i64 i = threadIdx.x; i < count; i += blockDim.x) best = Max::of(best, magnitude(parts[i]));
    best = reduce_block<Max>(best, shared);
    if (threadIdx.x == 0) *amax = from_magnitude(best);
}
