// amax to scale without leaving the device: scale = fl32(max / max(amax, 1e-12)), the division in double; infinity gives 0, NaN stays NaN.
#include "types.cuh"

// exp2(floor(log2(s))) as an fp32 chain rounds it: just below a power of two, log2 rounds up to the integer, and the result is the power above s.
// log2 in double and rounded once is that chain without depending on the last bit of anyone's log2f.
DEVICE float floor_to_power_of_two(float s)
{
    if (!(s > 0.0f) || __float_as_uint(s) >= 0x7f800000u) return s;  // 0, NaN, infinity
    const int exponent = (int)floorf((float)log2((double)s));
    if (exponent > 127) return __uint_as_float(0x7f800000u);
    return __uint_as_float(exponent >= -126 ? (u32)(exponent + 127) << 23 : 1u << (exponent + 149));
}

// amax [count] -> scale [count]; max is the format's largest value.
KERNEL scale_from_amax(const float* amax, i64 count, float max, int power_of_two, float* scale)
{
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += (i64)gridDim.x * blockDim.x)
    {
        const double a = amax[i];
        const float s = (float)((double)max / (a < 1e-12 ? 1e-12 : a));
        scale[i] = power_of_two ? floor_to_power_of_two(s) : s;
    }
}
