// Rows that stay in registers between two passes over them, and the magnitudes that a kernel leaves beside its result. Blocks have 256 threads: blockDim.x of them, one
// warp or more, for each of blockDim.y rows at a time.
#pragma once
#include "reduce.cuh"

// Sums of the warps of a block's rows, twice: a row writes to one half while another thread may still read the other.
struct RowSums { float at[2][8]; };

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

// amax[blockIdx.x] = the largest magnitude of the block, NaN if there is one. Without amax, nothing. Every thread of the block takes part.
DEVICE void leave_amax(u32 largest, float* amax)
{
    if (!amax) return;
    __shared__ u32 warps[32];
    const int thread = threadIdx.y * blockDim.x + threadIdx.x, threads = blockDim.x * blockDim.y;
    largest = reduce_warp<Max>(largest);
    if (thread % 32 == 0) warps[thread / 32] = largest;
    __syncthreads();
    if (thread == 0)
    {
        for (int k = 1; k < threads / 32; k++) largest = Max::of(largest, warps[k]);
        amax[blockIdx.x] = from_magnitude(largest);
    }
}
