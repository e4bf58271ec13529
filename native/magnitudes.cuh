// Magnitudes as their elements lie in memory: a word holds two of bf16 or one of fp32. As integers they order like the numbers, and every NaN is above infinity, so a maximum propagates NaN.
#pragma once
#include "access.cuh"

template <typename T> __device__ u32 magnitudes(u32 word);
template <> DEVICE u32 magnitudes<float>(u32 word) { return word & 0x7fffffffu; }
template <> DEVICE u32 magnitudes<bf16>(u32 word) { return word & 0x7fff7fffu; }

// Element by element, of magnitudes.
template <typename T> __device__ u32 larger(u32 a, u32 b);
template <> DEVICE u32 larger<float>(u32 a, u32 b) { return a > b ? a : b; }

template <> DEVICE u32 larger<bf16>(u32 a, u32 b)
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    // One instruction for both; a NaN becomes 0x7fff.
    u32 both;
    asm("max.NaN.bf16x2 %0, %1, %2;" : "=r"(both) : "r"(a), "r"(b));
    return both;
#else
    const u32 low = (a & 0xffffu) > (b & 0xffffu) ? a & 0xffffu : b & 0xffffu, high = a >> 16 > b >> 16 ? a >> 16 : b >> 16;
    return high << 16 | low;
#endif
}

// The largest in a word, as fp32 bits.
template <typename T> __device__ u32 largest_of(u32 word);
template <> DEVICE u32 largest_of<float>(u32 word) { return word; }
template <> DEVICE u32 largest_of<bf16>(u32 word) { return word << 16 > (word & 0xffff0000u) ? word << 16 : word & 0xffff0000u; }

// Element k of words, as fp32 bits.
template <typename T, int W> DEVICE u32 magnitude_at(const u32 (&words)[W], int k)
{
    return sizeof(T) == 4 ? words[k] : k % 2 == 0 ? words[k / 2] << 16 : words[k / 2] & 0xffff0000u;
}

// The largest of a word and of the elements of a pack, word by word.
template <typename T, int N> DEVICE u32 largest(u32 so_far, const Raw<T, N>& raw)
{
    UNROLL for (int k = 0; k < N * (int)sizeof(T) / 4; k++) so_far = larger<T>(so_far, magnitudes<T>(raw.words[k]));
    return so_far;
}
