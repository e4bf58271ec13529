// A gradient times the one that came into its backward, in place. That one is 1 in a training step: then nothing is read but the factor. The host need not know it.
#include "rows.cuh"

// x [count], factor [1], amax [parts] or null: the magnitudes of x, whose largest follows it through the same rounding.
template <typename T> DEVICE void scale_unless_one(T* x, i64 count, const float* factor, float* amax, i64 parts)
{
    constexpr int N = lanes_of<T>();
    const float f = *factor;
    if (f == 1.0f) return;
    const bool whole = aligned(x);
    const i64 thread = (i64)blockIdx.x * blockDim.x + threadIdx.x, threads = (i64)gridDim.x * blockDim.x;
    for (i64 i = thread * N; i < count; i += threads * N)
    {
        const bool all = whole && i + N <= count;
        float scaled[N];
        widen_all(fetch<N>(x + i, all, count - i), scaled);
        UNROLL for (int k = 0; k < N; k++) scaled[k] *= f;
        put(x + i, narrow_all<T, N>(scaled), all, count - i);
    }

    for (i64 p = thread; p < parts; p += threads) amax[p] = from_magnitude(magnitude(widen(narrow<T>(amax[p] * f))));
}

KERNEL scale_unless_one_bf16(bf16* x, i64 count, const float* factor, float* amax, i64 parts) { scale_unless_one(x, count, factor, amax, parts); }
KERNEL scale_unless_one_f32(float* x, i64 count, const float* factor, float* amax, i64 parts) { scale_unless_one(x, count, factor, amax, parts); }
