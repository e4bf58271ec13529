// Reductions over a warp and over a block. Every thread of the warp or block must take part; all of them get the result.
#pragma once
#include "types.cuh"

struct Max
{
    static DEVICE u32 of(u32 a, u32 b) { return a > b ? a : b; }
    static DEVICE float of(float a, float b) { return a > b ? a : b; }
};

struct Sum
{
    static DEVICE float of(float a, float b) { return a + b; }
};

template <typename Op, typename T> DEVICE T reduce_warp(T value)
{
    for (int lane = 16; lane > 0; lane >>= 1) value = Op::of(value, __shfl_xor_sync(0xffffffffu, value, lane));
    return value;
}

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
template <> DEVICE u32 reduce_warp<Max, u32>(u32 value)
{
    u32 all;
    asm volatile("redux.sync.max.u32 %0, %1, 0xffffffff;" : "=r"(all) : "r"(value));
    return all;
}
#endif

// `shared` holds 32 values. The block is a multiple of 32 threads.
template <typename Op, typename T> DEVICE T reduce_block(T value, T* shared)
{
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    value = reduce_warp<Op>(value);
    __syncthreads();  // the values of an earlier reduction have been read
    if (lane == 0) shared[warp] = value;
    __syncthreads();
    T result = shared[0];
    for (int k = 1; k < warps; k++) result = Op::of(result, shared[k]);
    return result;
}
