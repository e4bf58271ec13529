// Gradient of RMSNorm with respect to its weight: dw[d] = sum over rows of g * x * r. Sums per block row of the grid, then the sum of those: the order of additions is
// fixed by the grid, so that two runs agree to the bit.
#include "types.cuh"

// g, x [R, D], rstd [R] -> partial [gridDim.y, D].
template <typename T> DEVICE void rms_norm_backward_weight_partial(const T* g, const T* x, const float* rstd, i64 rows, i64 width, float* partial)
{
    constexpr int N = lanes_of<T>();
    const bool whole = aligned(g) && aligned(x) && width % N == 0;
    for (i64 c = ((i64)blockIdx.x * blockDim.x + threadIdx.x) * N; c < width; c += (i64)gridDim.x * blockDim.x * N)
    {
        float sum[N] = {};
        for (i64 row = blockIdx.y; row < rows; row += gridDim.y)
        {
            const Pack<T, N> a = load<N>(g + row * width + c, whole, width - c), b = load<N>(x + row * width + c, whole, width - c);
            const float r = rstd[row];
            for (int k = 0; k < N; k++) sum[k] += widen(a.at[k]) * (widen(b.at[k]) * r);
        }

        for (int k = 0; k < N; k++)
            if (c + k < width) partial[blockIdx.y * width + c + k] = sum[k];
    }
}

KERNEL rms_norm_backward_weight_partial_bf16(const bf16* g, const bf16* x, const float* rstd, i64 rows, i64 width, float* partial)
{
    rms_norm_backward_weight_partial(g, x, rstd, rows, width, partial);
}

KERNEL rms_norm_backward_weight_partial_f32(const float* g, const float* x, const float* rstd, i64 rows, i64 width, float* partial)
{
    rms_norm_backward_weight_partial(g, x, rstd, rows, width, partial);
}

// partial [P, D] -> dw [D].
template <typename T> DEVICE void rms_norm_backward_weight_finish(const float* partial, i64 parts, i64 width, T* dw)
{
    for (i64 c = (i64)blockIdx.x * blockDim.x + threadIdx.x; c < width; c += (i64)gridDim.x * blockDim.x)
    {
        float sum = 0.0f;
        for (i64 p = 0; p < parts; p++) sum += partial[p * width + c];
        dw[c] = narrow<T>(sum);
    }
}

KERNEL rms_norm_backward_weight_finish_bf16(const float* partial, i64 parts, i64 width, bf16* dw)
{
    rms_norm_backward_weight_finish(partial, parts, width, dw);
}

KERNEL rms_norm_backward_weight_finish_f32(const float* partial, i64 parts, i64 width, float* dw)
{
    rms_norm_backward_weight_finish(partial, parts, width, dw);
}
