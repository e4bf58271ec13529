// Gradient of RMSNorm with respect to its input: dx = r * (g * w - x * r² * mean(g * w * x)), r the saved reciprocal root. One block per row.
#include "reduce.cuh"

// g, x [R, D], w [D], rstd [R] -> dx [R, D].
template <typename T> DEVICE void rms_norm_backward_x(const T* g, const T* x, const T* w, const float* rstd, i64 rows, i64 width, T* dx)
{
    constexpr int N = lanes_of<T>();
    __shared__ float shared[32];
    const bool whole = aligned(g) && aligned(x) && aligned(w) && aligned(dx) && width % N == 0;
    for (i64 row = blockIdx.x; row < rows; row += gridDim.x)
    {
        const i64 at = row * width;
        float sum = 0.0f;
        for (i64 c = threadIdx.x * N; c < width; c += (i64)blockDim.x * N)
        {
            const Pack<T, N> a = load<N>(g + at + c, whole, width - c), b = load<N>(x + at + c, whole, width - c), s = load<N>(w + c, whole, width - c);
            for (int k = 0; k < N; k++) sum += widen(a.at[k]) * widen(s.at[k]) * widen(b.at[k]);
        }

        sum = reduce_block<Sum>(sum, shared);
        const float r = rstd[row], slope = r * r * sum / (float)width;
        for (i64 c = threadIdx.x * N; c < width; c += (i64)blockDim.x * N)
        {
            Pack<T, N> a = load<N>(g + at + c, whole, width - c);
            const Pack<T, N> b = load<N>(x + at + c, whole, width - c), s = load<N>(w + c, whole, width - c);
            for (int k = 0; k < N; k++) a.at[k] = narrow<T>(r * (widen(a.at[k]) * widen(s.at[k]) - widen(b.at[k]) * slope));
            store<N>(dx + at + c, a, whole, width - c);
        }
    }
}

KERNEL rms_norm_backward_x_bf16(const bf16* g, const bf16* x, const bf16* w, const float* rstd, i64 rows, i64 width, bf16* dx)
{
    rms_norm_backward_x(g, x, w, rstd, rows, width, dx);
}

KERNEL rms_norm_backward_x_f32(const float* g, const float* x, const float* w, const float* rstd, i64 rows, i64 width, float* dx)
{
    rms_norm_backward_x(g, x, w, rstd, rows, width, dx);
}
