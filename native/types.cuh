// Names that every kernel uses: sizes of integers, bf16 storage, and moves of 16 bytes at a time.
#pragma once

#ifdef TITAN_EMULATION
#include "emulation/cuda.h"
#endif

// extern "C": the host looks a kernel up by this name.
#define KERNEL extern "C" __global__ void
#define DEVICE __device__ __forceinline__
// The same for blocks of up to so many threads, of which so many must fit on a multiprocessor: what bounds the registers of a thread.
#define KERNEL_OF(threads, blocks) extern "C" __global__ void __launch_bounds__(threads, blocks)

// A loop whose array must live in registers: only constant indices can. And one whose reads are to be under way together, eight at a time.
#ifdef TITAN_EMULATION
#define UNROLL
#define UNROLL_8
#else
#define UNROLL _Pragma("unroll")
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

// N neighbours. A copy of a whole pack is one access of up to 16 bytes.
template <typename T, int N> struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) Pack { T at[N]; };

// 16 bytes as one access moves them, and the small elements in them. A compiler that is left to take a pack of those apart makes two or four accesses of it.
struct alignas(16) Words { u32 at[4]; };

DEVICE u32 bits_of(bf16 x) { return x.bits; }
DEVICE u32 bits_of(u8 x) { return x; }
DEVICE void set_bits(bf16& x, u32 bits) { x.bits = (u16)bits; }
DEVICE void set_bits(u8& x, u32 bits) { x = (u8)bits; }

template <typename T, int N> DEVICE Pack<T, N> unpack(const Words& words)
{
    constexpr int each = 4 / sizeof(T), bits = 8 * sizeof(T);
    Pack<T, N> pack;
    UNROLL for (int k = 0; k < N; k++) set_bits(pack.at[k], words.at[k / each] >> (k % each * bits));
    return pack;
}

template <typename T, int N> DEVICE Words repack(const Pack<T, N>& pack)
{
    constexpr int each = 4 / sizeof(T), bits = 8 * sizeof(T);
    Words words {};
    UNROLL for (int k = 0; k < N; k++) words.at[k / each] |= bits_of(pack.at[k]) << (k % each * bits);
    return words;
}

// A pack of results, each rounded. One instruction rounds two neighbours where the hardware has it (SM80); a NaN is then 0x7fff.
template <typename T, int N> DEVICE Pack<T, N> narrow_all(const float (&from)[N])
{
    Pack<T, N> pack;
    UNROLL for (int k = 0; k < N; k++) pack.at[k] = narrow<T>(from[k]);
    return pack;
}

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
template <> DEVICE Pack<bf16, 8> narrow_all<bf16, 8>(const float (&from)[8])
{
    Words words;
    UNROLL for (int k = 0; k < 4; k++) asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(words.at[k]) : "f"(from[2 * k + 1]), "f"(from[2 * k]));
    return unpack<bf16, 8>(words);
}
#endif

// The largest of a magnitude and those of a pack.
template <typename T, int N> DEVICE u32 largest(u32 magnitude_so_far, const Pack<T, N>& pack)
{
    UNROLL for (int k = 0; k < N; k++)
    {
        const u32 m = magnitude(pack.at[k]);
        magnitude_so_far = m > magnitude_so_far ? m : magnitude_so_far;
    }

    return magnitude_so_far;
}

// How many T one 16-byte access moves.
template <typename T> __device__ constexpr int lanes_of() { return 16 / (int)sizeof(T); }

// How many packs of a row each of 256 threads keeps in registers between two passes over it: together 8192 elements, the row of the largest models.
template <typename T> __device__ constexpr int kept_packs() { return 8192 / 256 / lanes_of<T>(); }

// Whether packs may start at this address. A view into another tensor may not.
DEVICE bool aligned(const void* p) { return (reinterpret_cast<unsigned long long>(p) & 15) == 0; }

// `whole`: the address is aligned and all N elements exist. Otherwise the first `count` are read one by one, and the rest is zero.
template <int N, typename T> DEVICE Pack<T, N> load(const T* p, bool whole, i64 count)
{
    if (whole)
    {
        if constexpr (sizeof(T) < 4 && sizeof(Pack<T, N>) == 16) return unpack<T, N>(*reinterpret_cast<const Words*>(p));
        else return *reinterpret_cast<const Pack<T, N>*>(p);
    }

    Pack<T, N> pack {};
    for (int k = 0; k < N; k++)
        if (k < count) pack.at[k] = p[k];
    return pack;
}

template <int N, typename T> DEVICE void store(T* p, const Pack<T, N>& pack, bool whole, i64 count)
{
    if (whole)
    {
        if constexpr (sizeof(T) < 4 && sizeof(Pack<T, N>) == 16) *reinterpret_cast<Words*>(p) = repack(pack);
        else *reinterpret_cast<Pack<T, N>*>(p) = pack;
    }
    else
        for (int k = 0; k < N; k++)
            if (k < count) p[k] = pack.at[k];
}

// A product and a sum that the compiler must not fuse, where the plain chain rounds in between.
DEVICE float times(float a, float b) { return __fmul_rn(a, b); }
DEVICE float plus(float a, float b) { return __fadd_rn(a, b); }
