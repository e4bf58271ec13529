// The largest magnitudes of columns, joined over the threads of a block.
#pragma once
#include "magnitudes.cuh"

// Element k of a word, as it lies in memory.
template <typename T> __device__ T element(u32 word, int k);
template <> DEVICE float element<float>(u32 word, int) { return __uint_as_float(word); }
template <> DEVICE bf16 element<bf16>(u32 word, int k) { return bf16 { (u16)(word >> 16 * k) }; }

// Thread (x, y) of the block has the maxima of the neighbouring columns of one 16-byte piece, over its rows. Calls each(column, word, k) once for every column of the block, whose
// maximum is element k of the word. `shared` holds four words for each thread.
template <typename T, typename Each> DEVICE void join_columns(const u32 (&best)[4], u32* shared, Each each)
{
    constexpr int columns_of_word = 4 / (int)sizeof(T);
    const int across = blockDim.x, down = blockDim.y, thread = threadIdx.y * across + threadIdx.x;
    __syncthreads();  // an earlier result has been read
    *reinterpret_cast<Pack<u32, 4>*>(shared + thread * 4) = Pack<u32, 4> { { best[0], best[1], best[2], best[3] } };
    __syncthreads();
    for (int w = thread; w < across * 4; w += across * down)
    {
        u32 all = 0;
        UNROLL_8 for (int y = 0; y < down; y++) all = larger<T>(all, shared[y * across * 4 + w]);
        UNROLL for (int k = 0; k < columns_of_word; k++) each(w * columns_of_word + k, all, k);
    }
}
