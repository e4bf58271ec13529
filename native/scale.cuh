// From an amax to a scale: scale = fl32(max / max(amax, 1e-12)), the division in double; infinity gives 0, NaN stays NaN.
#pragma once
#include "float8.cuh"
#include "reduce.cuh"

// exp2(floor(log2(s))) as an fp32 chain rounds it: just below a power of two, log2 rounds up to the integer, and the result is the power above s.
// log2 in double and rounded once is that chain without depending on the last bit of anyone's log2f. Only there is it needed: log2 rounds up within 44 units of the last place.
DEVICE float floor_to_power_of_two(float s)
{
    const u32 bits = __float_as_uint(s);
    if (bits - 0x00800000u < 0x7f000000u && (bits & 0x7fffffu) < 0x7fff00u) return __uint_as_float(bits & 0xff800000u);
    if (!(s > 0.0f) || bits >= 0x7f800000u) return s;  // 0, NaN, infinity
    const int exponent = (int)floorf((float)log2((double)s));
    if (exponent > 127) return __uint_as_float(0x7f800000u);
    return __uint_as_float(exponent >= -126 ? (u32)(exponent + 127) << 23 : 1u << (exponent + 149));
}

// amax as fp32 bits; `max` and `scale_of_zero` are the format's. The fp32 quotient is the double one rounded to fp32: 53 bits are enough (2 * 24 + 2) that rounding twice is rounding
// once. No fp32 number lies between 0x2b8cbccc and 1e-12.
DEVICE float scale_of_amax(u32 amax, float max, float scale_of_zero, int power_of_two)
{
    const float s = amax <= 0x2b8cbcccu ? scale_of_zero : max / from_magnitude(amax);
    return power_of_two ? floor_to_power_of_two(s) : s;
}

template <typename F> DEVICE float scale_of_amax(u32 amax, int power_of_two)
{
    return scale_of_amax(amax, __uint_as_float(F::max), __uint_as_float(F::scale_of_zero), power_of_two);
}

// The scale of a tensor whose amax is the largest of parts [count]. Every thread of the block takes part and gets it; one thread of the grid writes it down with its inverse.
template <typename F> DEVICE float scale_from_parts(const float* parts, i64 count, int power_of_two, float* scale, float* inverse)
{
    __shared__ u32 shared[32];
    u32 best = 0;
    for (i64 i = threadIdx.x; i < count; i += blockDim.x) best = Max::of(best, magnitude(parts[i]));
    const float s = scale_of_amax<F>(reduce_block<Max>(best, shared), power_of_two);
    if (blockIdx.x == 0 && threadIdx.x == 0)
    {
        *scale = s;
        *inverse = 1.0f / s;
    }

    return s;
}
