// fp32 to float8 and back, as clamp-then-round (nearest even) of the OCP formats. -0 keeps its sign, NaN stays NaN, infinity saturates.
#pragma once
#include "access.cuh"

// A format as fp32 bit patterns. `denormal` is the power of two whose last place is the format's smallest step: adding it lets the adder round subnormals.
struct E4m3
{
    static constexpr u32 max = 0x43e00000u, smallest_normal = 0x3c800000u, denormal = 0x46800000u, bias = (127u - 7u) << 23;
    static constexpr int shift = 20, max_exponent = 8, mantissa_bits = 3;
    static constexpr u32 inverse_max = 0x3b124925u;      // 1 / 448 in fp32
    static constexpr u32 scale_of_zero = 0x57cbba10u;    // 448 / 1e-12 in double, rounded to fp32
    static constexpr u32 first_special = 0x7fu;          // codes from here on are infinity or NaN
};

struct E5m2
{
    static constexpr u32 max = 0x47600000u, smallest_normal = 0x38800000u, denormal = 0x43000000u, bias = (127u - 15u) << 23;
    static constexpr int shift = 21, max_exponent = 15, mantissa_bits = 2;
    static constexpr u32 inverse_max = 0x37924925u;      // 1 / 57344 in fp32
    static constexpr u32 scale_of_zero = 0x5b4bba10u;    // 57344 / 1e-12
    static constexpr u32 first_special = 0x7cu;
};

template <typename F> DEVICE u8 encode(float x)
{
    const u32 u = __float_as_uint(x), sign = (u >> 24) & 0x80u;
    u32 m = u & 0x7fffffffu;
    if (m > 0x7f800000u) return (u8)(sign | 0x7fu);
    m = m < F::max ? m : F::max;
    if (m < F::smallest_normal)
        return (u8)(sign | (__float_as_uint(plus(__uint_as_float(m), __uint_as_float(F::denormal))) - F::denormal));
    return (u8)(sign | ((m + ((1u << (F::shift - 1)) - 1u) + ((m >> F::shift) & 1u) - F::bias) >> F::shift));
}

// Two neighbours, the first in the low byte. Where the hardware has the conversion (SM89), one instruction does what `encode` does in thirty for each; a NaN then loses its
// sign, which has no meaning.
template <typename F> DEVICE u32 encode2(float a, float b)
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
    u16 both;
    if (F::shift == 20) asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(both) : "f"(b), "f"(a));
    else asm("cvt.rn.satfinite.e5m2x2.f32 %0, %1, %2;" : "=h"(both) : "f"(b), "f"(a));
    return both;
#else
    return (u32)encode<F>(a) | (u32)encode<F>(b) << 8;
#endif
}

// Elements times their factors, four bytes to a word. factor(k) is that of element k.
template <typename F, typename T, int N, typename Factor> DEVICE void encode_pack(const Pack<T, N>& x, Factor factor, u32 (&words)[N / 4])
{
    UNROLL for (int q = 0; q < N / 4; q++)
    {
        const int k = 4 * q;
        words[q] = encode2<F>(times(widen(x.at[k]), factor(k)), times(widen(x.at[k + 1]), factor(k + 1)))
            | encode2<F>(times(widen(x.at[k + 2]), factor(k + 2)), times(widen(x.at[k + 3]), factor(k + 3))) << 16;
    }
}

// `whole`: the address is aligned and all bytes have their place. Otherwise the first `count` are written one by one.
template <int W> DEVICE void store_words(u8* p, const u32 (&words)[W], bool whole, i64 count)
{
    if (whole)
    {
        write_words(p, words);
        return;
    }

    UNROLL for (int k = 0; k < 4 * W; k++)
        if (k < count) p[k] = (u8)(words[k / 4] >> (k % 4 * 8));
}

// Exact. As fp32 with the format's own exponent, a code is its value times the power of two between the two biases, subnormal codes included; codes above the largest value
// are infinity (e5m2's 0x7c) and NaN, as they are with the largest exponent.
template <typename F> DEVICE float decode(u8 code)
{
    const u32 m = code & 0x7fu, sign = (u32)(code & 0x80u) << 24;
    if (m >= F::first_special) return __uint_as_float(sign | 0x7f800000u | m << F::shift);
    return __uint_as_float(__float_as_uint(times(__uint_as_float(m << F::shift), __uint_as_float((127u << 23) + F::bias))) | sign);
}

// What T holds exactly, NaN included, without rounding.
template <typename T> __device__ T exact(float x);
template <> DEVICE float exact<float>(float x) { return x; }
template <> DEVICE bf16 exact<bf16>(float x) { return bf16 { (u16)(__float_as_uint(x) >> 16) }; }

// Two neighbours, the first in the low byte. Where the hardware has the conversion, it goes by way of fp16, which holds every float8 value.
template <typename F> DEVICE void decode2(u32 both, float& a, float& b)
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
    if (F::shift == 20)
        asm("{ .reg .f16 low, high; .reg .b32 pair; cvt.rn.f16x2.e4m3x2 pair, %2; mov.b32 {low, high}, pair; cvt.f32.f16 %0, low; cvt.f32.f16 %1, high; }"
            : "=f"(a), "=f"(b) : "h"((u16)both));
    else
        asm("{ .reg .f16 low, high; .reg .b32 pair; cvt.rn.f16x2.e5m2x2 pair, %2; mov.b32 {low, high}, pair; cvt.f32.f16 %0, low; cvt.f32.f16 %1, high; }"
            : "=f"(a), "=f"(b) : "h"((u16)both));
#else
    a = decode<F>((u8)both);
    b = decode<F>((u8)(both >> 8));
#endif
}

template <typename F, int N> DEVICE void decode_all(const Raw<u8, N>& codes, float (&to)[N])
{
    UNROLL for (int k = 0; k < N; k += 2) decode2<F>(codes.words[k / 4] >> (k % 4 * 8) & 0xffffu, to[k], to[k + 1]);
}

// What T holds exactly, as it lies in memory.
DEVICE void exact_all(const float (&from)[4], Raw<float, 4>& to)
{
    UNROLL for (int k = 0; k < 4; k++) to.words[k] = __float_as_uint(from[k]);
}

DEVICE void exact_all(const float (&from)[8], Raw<bf16, 8>& to)
{
    UNROLL for (int k = 0; k < 4; k++) to.words[k] = __byte_perm(__float_as_uint(from[2 * k]), __float_as_uint(from[2 * k + 1]), 0x7632);
}
