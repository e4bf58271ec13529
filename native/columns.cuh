// The largest magnitudes of columns, joined over the threads of a block.
#pragma once
#include "reduce.cuh"

// The magnitude's bits as T has them, and back.
template <typename T> __device__ T as_element(u32 magnitude_bits);
template <> DEVICE float as_element<float>(u32 bits) { return __uint_as_float(bits); }
template <> DEVICE bf16 as_element<bf16>(u32 bits) { return bf16 { (u16)(bits >> 16) }; }

// Thread (x, y) of the block has the maxima of N neighbouring columns, x * N .. + N - 1 of `across` * N, over its rows. Calls each(column, maximum) once for every column of the
// block. `shared` holds N for each thread.
template <int N, typename Each> DEVICE void join_columns(const u32 (&best)[N], u32* shared, Each each)
{
    const int across = blockDim.x, down = blockDim.y, thread = threadIdx.y * across + threadIdx.x;
    __syncthreads();  // an earlier result has been read
    UNROLL for (int k = 0; k < N; k += 4)
        *reinterpret_cast<Pack<u32, 4>*>(shared + thread * N + k) = Pack<u32, 4> { { best[k], best[k + 1], best[k + 2], best[k + 3] } };
    __syncthreads();
    for (int column = thread; column < across * N; column += across * down)
    {
        u32 all = 0;
        for (int y = 0; y < down; y++) all = Max::of(all, shared[y * across * N + column]);
        each(column, all);
    }
}
