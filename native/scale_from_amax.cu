// amax to scale without leaving the device.
#include "scale.cuh"

// amax [count] -> scale [count] and, where it is not null, inverse [count]; max and scale_of_zero are the format's.
KERNEL scale_from_amax(const float* amax, i64 count, float max, float scale_of_zero, int power_of_two, float* scale, float* inverse)
{
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += (i64)gridDim.x * blockDim.x)
    {
        const float s = scale_of_amax(magnitude(amax[i]), max, scale_of_zero, power_of_two);
        scale[i] = s;
        if (inverse != nullptr) inverse[i] = 1.0f / s;
    }
}
