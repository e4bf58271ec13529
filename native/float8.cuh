// fp32 to float8 and back, as clamp-then-round (nearest even) of the OCP formats. -0 keeps its sign, NaN stays NaN, infinity saturates.
#pragma once
#include "types.cuh"

// A format as fp32 bit patterns. `denormal` is the power of two whose last place is the format's smallest step: adding it lets the adder round subnormals.
struct E4m3
{
    static constexpr u32 max = 0x43e00000u, smallest_normal = 0x3c800000u, denormal = 0x46800000u, bias = (127u - 7u) << 23;
    static constexpr int shift = 20, max_exponent = 8, mantissa_bits = 3;
    static constexpr u32 inverse_max = 0x3b124925u;  // 1 / 448 in fp32
};

struct E5m2
{
    static constexpr u32 max = 0x47600000u, smallest_normal = 0x38800000u, denormal = 0x43000000u, bias = (127u - 15u) << 23;
    static constexpr int shift = 21, max_exponent = 15, mantissa_bits = 2;
    static constexpr u32 inverse_max = 0x37924925u;  // 1 / 57344 in fp32
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

// Two neighbours. Where the hardware has the conversion (SM89), two instructions do what `encode` does in thirty; a NaN then loses its sign, which has no meaning.
template <typename F> DEVICE void encode2(float a, float b, u8* to)
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
    u16 both;
    if (F::shift == 20) asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(both) : "f"(b), "f"(a));
    else asm("cvt.rn.satfinite.e5m2x2.f32 %0, %1, %2;" : "=h"(both) : "f"(b), "f"(a));
    to[0] = (u8)both;
    to[1] = (u8)(both >> 8);
#else
    to[0] = encode<F>(a);
    to[1] = encode<F>(b);
#endif
}

// Exact. Codes above the largest value are infinity (e5m2's 0x7c) and NaN.
template <typename F> DEVICE float decode(u8 code)
{
    constexpr int mantissa = 23 - F::shift;
    const u32 m = code & 0x7fu, sign = (u32)(code & 0x80u) << 24;
    const bool nan = F::shift == 20 ? m == 0x7fu : m > 0x7cu;
    if (nan) return __uint_as_float(sign | 0x7fc00000u);
    if (F::shift == 21 && m == 0x7cu) return __uint_as_float(sign | 0x7f800000u);
    // A subnormal is its code times the smallest step; both factors and the product are exact.
    const float value = m < (1u << mantissa) ? (float)m * __uint_as_float((F::denormal - (23u << 23)))
                                             : __uint_as_float((m << F::shift) + F::bias);
    return __uint_as_float(__float_as_uint(value) | sign);
}
