// amax of a whole tensor, in two stages so that no atomics and no initialised memory are needed: a maximum per block, then the maximum of those.
#include "reduce.cuh"

// x [count] -> partial [gridDim.x]: fp32 bits of the largest magnitude that each block has seen.
template <typename T> DEVICE void amax_partial(const T* x, i64 count, u32* partial)
{
    constexpr int N = lanes_of<T>();
    __shared__ u32 shared[32];
    const bool whole = aligned(x);
    const i64 first = (i64)blockIdx.x * blockDim.x + threadIdx.x, step = (i64)gridDim.x * blockDim.x;
    u32 best = 0;
    for (i64 i = first * N; i < count; i += step * N)
    {
        const Pack<T, N> pack = load<N>(x + i, whole && i + N <= count, count - i);
        for (int k = 0; k < N; k++) best = Max::of(best, magnitude(pack.at[k]));
    }

    best = reduce_block<Max>(best, shared);
    if (threadIdx.x == 0) partial[blockIdx.x] = best;
}

KERNEL amax_partial_bf16(const bf16* x, i64 count, u32* partial) { amax_partial(x, count, partial); }
KERNEL amax_partial_f32(const float* x, i64 count, u32* partial) { amax_partial(x, count, partial); }

// partial [count] -> amax [1]. One block.
KERNEL amax_finish(const u32* partial, i64 count, float* amax)
{
    __shared__ u32 shared[32];
    u32 best = 0;
    for (i64 i = threadIdx.x; i < count; i += blockDim.x) best = Max::of(best, partial[i]);
    best = reduce_block<Max>(best, shared);
    if (threadIdx.x == 0) *amax = from_magnitude(best);
}
