// Rows that stay in registers between two passes over them, and the magnitudes that a kernel leaves beside its result. Blocks have 256 or 512 threads: blockDim.x of them, one
// warp or more, for each of blockDim.y rows at a time. Elements stay in words as they came until they are used.
#pragma once
#include "magnitudes.cuh"
#include "reduce.cuh"

template <typename T, int N> DEVICE void widen_all(const Raw<T, N>& raw, float (&to)[N])
{
    const Pack<T, N> pack = unpack(raw);
    UNROLL for (int k = 0; k < N; k++) to[k] = widen(pack.at[k]);
}

// Results, each rounded.
template <typename T, int N> DEVICE Raw<T, N> narrow_all(const float (&from)[N])
{
    constexpr int each = 4 / (int)sizeof(T);
    Pack<T, N> pack;
    Raw<T, N> raw;
    UNROLL for (int k = 0; k < N; k++) pack.at[k] = narrow<T>(from[k]);
    UNROLL for (int k = 0; k < N / each; k++) raw.words[k] = join(pack.at + k * each);
    return raw;
}

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
// One instruction rounds two neighbours; a NaN is then 0x7fff.
template <> DEVICE Raw<bf16, 8> narrow_all<bf16, 8>(const float (&from)[8])
{
    Raw<bf16, 8> raw;
    UNROLL for (int k = 0; k < 4; k++) asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(raw.words[k]) : "f"(from[2 * k + 1]), "f"(from[2 * k]));
    return raw;
}
#endif

// `whole` as for `fetch`.
template <typename T, int N> DEVICE void put(T* p, const Raw<T, N>& raw, bool whole, i64 count)
{
    if (whole) write_words(p, raw.words);
    else store<N>(p, unpack(raw), count);
}

// Sums of the warps of a block's rows, twice: a row writes to one half while another thread may still read the other.
struct RowSums { float at[2][16]; };

// The sum over the threads of a row; each of them gets it. Every thread of the block takes part. `turn` counts the calls.
DEVICE float reduce_row(float value, RowSums& sums, int turn)
{
    value = reduce_warp<Sum>(value);
    if (blockDim.x == 32) return value;
    float* half = sums.at[turn & 1];
    const int warps = blockDim.x / 32, row = threadIdx.y * warps;
    if (threadIdx.x % 32 == 0) half[row + threadIdx.x / 32] = value;
    __syncthreads();
    float sum = half[row];
    for (int k = 1; k < warps; k++) sum += half[row + k];
    return sum;
}

// amax[blockIdx.x] = the largest magnitude of the block, NaN if there is one, from each thread's word of magnitudes. Without amax, nothing. Every thread of the block takes part.
template <typename T> DEVICE void leave_amax(u32 magnitudes, float* amax)
{
    if (!amax) return;
    __shared__ u32 warps[32];
    const int thread = threadIdx.y * blockDim.x + threadIdx.x, threads = blockDim.x * blockDim.y;
    u32 largest = reduce_warp<Max>(largest_of<T>(magnitudes));
    if (thread % 32 == 0) warps[thread / 32] = largest;
    __syncthreads();
    if (thread == 0)
    {
        for (int k = 1; k < threads / 32; k++) largest = Max::of(largest, warps[k]);
        amax[blockIdx.x] = from_magnitude(largest);
    }
}
