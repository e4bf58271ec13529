// RMSNorm: y = x / sqrt(mean(x²) + eps) * w over the last dimension, in fp32, rounded once at the end. One block per row, which stays in registers between its sum and
// its result; only what does not fit there is read a second time.
#include "reduce.cuh"

template <typename T, int N> DEVICE float plus_squares(const Pack<T, N>& x, float sum)
{
    for (int k = 0; k < N; k++) sum += widen(x.at[k]) * widen(x.at[k]);
    return sum;
}

template <typename T, int N> DEVICE Pack<T, N> normalised(const Pack<T, N>& x, const Pack<T, N>& w, float r)
{
    Pack<T, N> y;
    for (int k = 0; k < N; k++) y.at[k] = narrow<T>(widen(x.at[k]) * r * widen(w.at[k]));
    return y;
}

// x [R, D], w [D] -> y [R, D], rstd [R]: the reciprocal root, which backward reads again.
template <typename T> DEVICE void rms_norm_forward(const T* x, const T* w, i64 rows, i64 width, float eps, T* y, float* rstd)
{
    constexpr int N = lanes_of<T>(), K = kept_packs<T>();
    const i64 step = (i64)blockDim.x * N, first = threadIdx.x * N;
    __shared__ float shared[32];
    const bool whole = aligned(x) && aligned(w) && aligned(y) && width % N == 0;
    for (i64 row = blockIdx.x; row < rows; row += gridDim.x)
    {
        const T* from = x + row * width;
        Pack<T, N> kept[K];
        float sum = 0.0f;
        UNROLL for (int p = 0; p < K; p++)
        {
            const i64 c = first + p * step;
            if (c >= width) continue;
            kept[p] = load<N>(from + c, whole, width - c);
            sum = plus_squares(kept[p], sum);
        }

        for (i64 c = first + K * step; c < width; c += step) sum = plus_squares(load<N>(from + c, whole, width - c), sum);

        sum = reduce_block<Sum>(sum, shared);
        const float r = 1.0f / sqrtf(sum / (float)width + eps);
        UNROLL for (int p = 0; p < K; p++)
        {
            const i64 c = first + p * step;
            if (c < width) store<N>(y + row * width + c, normalised(kept[p], load<N>(w + c, whole, width - c), r), whole, width - c);
        }

        for (i64 c = first + K * step; c < width; c += step)
            store<N>(y + row * width + c, normalised(load<N>(from + c, whole, width - c), load<N>(w + c, whole, width - c), r), whole, width - c);

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
