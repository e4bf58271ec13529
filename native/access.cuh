// Accesses that stay whole. What the compiler copies as elements of two bytes it may read as elements of two bytes: a pack of bf16 that is loaded under a condition becomes eight loads.
#pragma once
#include "types.cuh"

// W neighbouring words from or to an address that is a multiple of their size. Kernels write nothing that they read again.
template <int W> DEVICE void read_words(const void* p, u32 (&words)[W])
{
#ifdef TITAN_EMULATION
    for (int k = 0; k < W; k++) words[k] = reinterpret_cast<const u32*>(p)[k];
#else
    if (W == 4) asm volatile("ld.global.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(words[0]), "=r"(words[W > 1 ? 1 : 0]), "=r"(words[W > 2 ? 2 : 0]), "=r"(words[W > 3 ? 3 : 0]) : "l"(p));
    else if (W == 2) asm volatile("ld.global.v2.u32 {%0, %1}, [%2];" : "=r"(words[0]), "=r"(words[W > 1 ? 1 : 0]) : "l"(p));
    else asm volatile("ld.global.u32 %0, [%1];" : "=r"(words[0]) : "l"(p));
#endif
}

template <int W> DEVICE void write_words(void* p, const u32 (&words)[W])
{
#ifdef TITAN_EMULATION
    for (int k = 0; k < W; k++) reinterpret_cast<u32*>(p)[k] = words[k];
#else
    if (W == 4)
        asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(p), "r"(words[0]), "r"(words[W > 1 ? 1 : 0]), "r"(words[W > 2 ? 2 : 0]), "r"(words[W > 3 ? 3 : 0]) : "memory");
    else if (W == 2) asm volatile("st.global.v2.u32 [%0], {%1, %2};" ::"l"(p), "r"(words[0]), "r"(words[W > 1 ? 1 : 0]) : "memory");
    else asm volatile("st.global.u32 [%0], %1;" ::"l"(p), "r"(words[0]) : "memory");
#endif
}

// Elements in words, the first in the lowest bits.
DEVICE void take(u32 word, float* at) { at[0] = __uint_as_float(word); }

DEVICE void take(u32 word, bf16* at)
{
    at[0].bits = (u16)word;
    at[1].bits = (u16)(word >> 16);
}

DEVICE void take(u32 word, u8* at)
{
    UNROLL for (int k = 0; k < 4; k++) at[k] = (u8)(word >> (8 * k));
}

DEVICE u32 join(const float* at) { return __float_as_uint(at[0]); }
DEVICE u32 join(const u8* at) { return (u32)at[0] | (u32)at[1] << 8 | (u32)at[2] << 16 | (u32)at[3] << 24; }
DEVICE u32 join(const bf16* at) { return (u32)at[0].bits | (u32)at[1].bits << 16; }

// Neighbouring elements as they came from memory. Taking them apart right after the load would wait for it: a thread fetches all that it wants, then unpacks.
template <typename T, int N> struct Raw { u32 words[N * sizeof(T) / 4]; };

// `whole`: the address is aligned and all N elements exist. Otherwise the first `count` are read one by one, and the rest is zero.
template <int N, typename T> DEVICE Raw<T, N> fetch(const T* p, bool whole, i64 count)
{
    constexpr int W = N * (int)sizeof(T) / 4, each = 4 / (int)sizeof(T);
    Raw<T, N> raw;
    if (whole)
    {
        read_words(p, raw.words);
        return raw;
    }

    const Pack<T, N> pack = load<N>(p, count);
    UNROLL for (int k = 0; k < W; k++) raw.words[k] = join(pack.at + k * each);
    return raw;
}

template <typename T, int N> DEVICE Pack<T, N> unpack(const Raw<T, N>& raw)
{
    constexpr int W = N * (int)sizeof(T) / 4, each = 4 / (int)sizeof(T);
    Pack<T, N> pack;
    UNROLL for (int k = 0; k < W; k++) take(raw.words[k], pack.at + k * each);
    return pack;
}

// `whole` as above.
template <int N, typename T> DEVICE void put(T* p, const Pack<T, N>& pack, bool whole, i64 count)
{
    constexpr int W = N * (int)sizeof(T) / 4, each = 4 / (int)sizeof(T);
    if (!whole)
    {
        store<N>(p, pack, count);
        return;
    }

    u32 words[W];
    UNROLL for (int k = 0; k < W; k++) words[k] = join(pack.at + k * each);
    write_words(p, words);
}
