// RMSNorm: y = x / sqrt(mean(x²) + eps) * w over the last dimension, in fp32, rounded once at the end. One block per row.
#include "reduce.cuh"

// x [R, D], w [D] -> y [R, D], rstd [R]: the reciprocal root, which backward reads again.
template <typename T> DEVICE void rms_norm_forward(const T* x, const T* w, i64 rows, i64 width, float eps, T* y, float* rstd)
{
    constexpr int N = lanes_of<T>();
    __shared__ float shared[32];
    const bool whole = aligned(x) && aligned(w) && aligned(y) && width % N == 0;
    for (i64 row = blockIdx.x; row < rows; row += gridDim.x)
    {
        const T* from = x + row * width;
        float sum = 0.0f;
        for (i64 c = threadIdx.x * N; c < width; c += (i64)blockDim.x * N)
        {
            const Pack<T, N> a = load<N>(from + c, whole, width - c);
            for (int k = 0; k < N; k++) sum += widen(a.at[k]) * widen(a.at[k]);
        }

        sum = reduce_block<Sum>(sum, shared);
        const float r = 1.0f / sqrtf(sum / (float)width + eps);
        for (i64 c = threadIdx.x * N; c < width; c += (i64)blockDim.x * N)
        {
            Pack<T, N> a = load<N>(from + c, whole, width - c);
            const Pack<T, N> b = load<N>(w + c, whole, width - c);
            for (int k = 0; k < N; k++) a.at[k] = narrow<T>(widen(a.at[k]) * r * widen(b.at[k]));
            store<N>(y + row * width + c, a, whole, width - c);
        }

        if (threadIdx.x == 0) rstd[row] = r;
    }
}

KERNEL rms_norm_forward_bf16(const bf16* x, const bf16* w, i64 rows, i64 width, float eps, bf16* y, float* rstd)
{
    rms_norm_forward(x, w, rows, width, eps, y, rstd);
}

KERNEL rms_norm_forward_f32(const float* x, const float* w, i64 rows, i64 width, float eps, float* y, float* rstd)
{
    rms_norm_forward(x, w, rows, width, eps, y, rstd);
}
