// Names that every kernel uses: sizes of integers, bf16 storage, and moves of 16 bytes at a time.
#pragma once

#ifdef TITAN_EMULATION
#include "emulation/cuda.h"
#endif

// extern "C": the host looks a kernel up by this name.
#define KERNEL extern "C" __global__ void
// Inlined always: what is passed by reference must not need memory.
#define DEVICE __device__ __forceinline__
// The same for blocks of up to so many threads, of which so many must fit on a multiprocessor: what bounds the registers of a thread.
#define KERNEL_OF(threads, blocks) extern "C" __global__ void __launch_bounds__(threads, blocks)

// A loop whose array must live in registers: only constant indices can. One of which two turns share their counting, one that stays a loop, and one whose reads are
// to be under way together, eight at a time.
#ifdef TITAN_EMULATION
#define UNROLL
#define UNROLL_2
#define NO_UNROLL
#define UNROLL_8
#else
#define UNROLL _Pragma("unroll")
#define UNROLL_2 _Pragma("unroll 2")
#define NO_UNROLL _Pragma("unroll 1")
#define UNROLL_8 _Pragma("unroll 8")
#endif

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef long long i64;

struct bf16 { u16 bits; };

DEVICE float widen(float x) { return x; }
DEVICE float widen(bf16 x) { return __uint_as_float((u32)x.bits << 16); }

// fp32 bits of |x|. As integers they order like the magnitudes, and every NaN is above infinity: the maximum of these is an amax that propagates NaN.
DEVICE u32 magnitude(float x) { return __float_as_uint(x) & 0x7fffffffu; }
DEVICE u32 magnitude(bf16 x) { return ((u32)x.bits & 0x7fffu) << 16; }

// One NaN for all: which payload wins a maximum says nothing.
DEVICE float from_magnitude(u32 bits) { return __uint_as_float(bits > 0x7f800000u ? 0x7fc00000u : bits); }

template <typename T> __device__ T narrow(float x);
template <> DEVICE float narrow<float>(float x) { return x; }

// Round to nearest even, NaN to 0x7fc0: as ATen's cast to bf16.
template <> DEVICE bf16 narrow<bf16>(float x)
{
    const u32 u = __float_as_uint(x);
    return bf16 { (u16)((u & 0x7fffffffu) > 0x7f800000u ? 0x7fc0u : (u + 0x7fffu + ((u >> 16) & 1u)) >> 16) };
}

// N neighbours.
template <typename T, int N> struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) Pack { T at[N]; };

// How many T one 16-byte access moves.
template <typename T> __device__ constexpr int lanes_of() { return 16 / (int)sizeof(T); }

// How many packs of a row each of 512 threads keeps in registers between two passes over it: together 8192 elements, the row of the largest models.
template <typename T> __device__ constexpr int kept_packs() { return 8192 / 512 / lanes_of<T>(); }

// Whether packs may start at this address. A view into another tensor may not.
DEVICE bool aligned(const void* p) { return (reinterpret_cast<unsigned long long>(p) & 15) == 0; }

// The first `count` of N elements one by one, and zeros; whole packs are for access.cuh.
template <int N, typename T> DEVICE Pack<T, N> load(const T* p, i64 count)
{
    Pack<T, N> pack {};
    for (int k = 0; k < N; k++)
        if (k < count) pack.at[k] = p[k];
    return pack;
}

template <int N, typename T> DEVICE void store(T* p, const Pack<T, N>& pack, i64 count)
{
    for (int k = 0; k < N; k++)
        if (k < count) p[k] = pack.at[k];
}

// A product and a sum that the compiler must not fuse, where the plain chain rounds in between.
DEVICE float times(float a, float b) { return __fmul_rn(a, b); }
DEVICE float plus(float a, float b) { return __fadd_rn(a, b); }
