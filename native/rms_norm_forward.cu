// RMSNorm: y = x / sqrt(mean(x²) + eps) * w over the last dimension, in fp32, rounded once at the end; of x, or of x + residual rounded as an addition of its own would.
// A row stays in registers between its sum and its result; only what does not fit there is read a second time.
#include "rows.cuh"

template <typename T, int N> DEVICE Raw<T, N> added(const Raw<T, N>& x, const Raw<T, N>& residual)
{
    float a[N], b[N];
    widen_all(x, a);
    widen_all(residual, b);
    UNROLL for (int k = 0; k < N; k++) a[k] += b[k];
    return narrow_all<T, N>(a);
}

template <typename T, int N> DEVICE float plus_squares(const Raw<T, N>& x, float sum)
{
    float a[N];
    widen_all(x, a);
    UNROLL for (int k = 0; k < N; k++) sum += a[k] * a[k];
    return sum;
}

template <typename T, int N> DEVICE Raw<T, N> normalised(const Raw<T, N>& x, const Raw<T, N>& w, float r)
{
    float a[N], b[N];
    widen_all(x, a);
    widen_all(w, b);
    UNROLL for (int k = 0; k < N; k++) a[k] = a[k] * r * b[k];
    return narrow_all<T, N>(a);
}

template <bool Residual, bool Whole, typename T>
DEVICE void rms_norm_forward(const T* x, const T* residual, const T* w, i64 rows, i64 width, float eps, T* y, float* rstd, T* sum, float* amax)
{
    constexpr int N = lanes_of<T>(), K = kept_packs<T>();
    const i64 step = (i64)blockDim.x * N, first = threadIdx.x * N;
    __shared__ RowSums sums;
    Raw<T, N> kept_w[K];
    UNROLL for (int p = 0; p < K; p++)
        if (first + p * step < width) kept_w[p] = fetch<N>(w + first + p * step, Whole, width - first - p * step);

    u32 magnitudes = 0;
    int turn = 0;
    for (i64 top = (i64)blockIdx.x * blockDim.y; top < rows; top += (i64)gridDim.x * blockDim.y)
    {
        // A row past the end has no elements: its threads wait for the others.
        const i64 row = top + threadIdx.y, from = row * width, end = row < rows ? width : 0;
        // All reads first, so that they are under way together.
        Raw<T, N> kept[K], other[K];
        UNROLL for (int p = 0; p < K; p++)
            if (first + p * step < end) kept[p] = fetch<N>(x + from + first + p * step, Whole, width - first - p * step);

        if (Residual)
        {
            UNROLL for (int p = 0; p < K; p++)
                if (first + p * step < end) other[p] = fetch<N>(residual + from + first + p * step, Whole, width - first - p * step);

            UNROLL for (int p = 0; p < K; p++)
            {
                const i64 c = first + p * step;
                if (c >= end) continue;
                kept[p] = added(kept[p], other[p]);
                put(sum + from + c, kept[p], Whole, width - c);
            }
        }

        float squares = 0.0f;
        UNROLL for (int p = 0; p < K; p++)
            if (first + p * step < end) squares = plus_squares(kept[p], squares);

        for (i64 c = first + K * step; c < end; c += step)
        {
            Raw<T, N> beyond = fetch<N>(x + from + c, Whole, width - c);
            if (Residual)
            {
                beyond = added(beyond, fetch<N>(residual + from + c, Whole, width - c));
                put(sum + from + c, beyond, Whole, width - c);
            }

            squares = plus_squares(beyond, squares);
        }

        const float r = 1.0f / sqrtf(reduce_row(squares, sums, turn++) / (float)width + eps);
        UNROLL for (int p = 0; p < K; p++)
        {
            const i64 c = first + p * step;
            if (c >= end) continue;
            const Raw<T, N> result = normalised(kept[p], kept_w[p], r);
            put(y + from + c, result, Whole, width - c);
            magnitudes = largest(magnitudes, result);
        }

        for (i64 c = first + K * step; c < end; c += step)
        {
            const Raw<T, N> again = fetch<N>((Residual ? sum : x) + from + c, Whole, width - c);
            const Raw<T, N> result = normalised(again, fetch<N>(w + c, Whole, width - c), r);
            put(y + from + c, result, Whole, width - c);
            magnitudes = largest(magnitudes, result);
        }

        if (threadIdx.x == 0 && row < rows) rstd[row] = r;
    }

    leave_amax<T>(magnitudes, amax);
}

// x [R, D], residual [R, D] or null, w [D] -> y [R, D], rstd [R]: the reciprocal root, which backward reads again; sum [R, D] with a residual; amax [blocks] or null.
template <typename T>
DEVICE void rms_norm_forward(const T* x, const T* residual, const T* w, i64 rows, i64 width, float eps, T* y, float* rstd, T* sum, float* amax)
{
    const bool whole = aligned(x) && aligned(residual) && aligned(w) && aligned(y) && aligned(sum) && width % lanes_of<T>() == 0;
    if (residual && whole) rms_norm_forward<true, true>(x, residual, w, rows, width, eps, y, rstd, sum, amax);
    else if (residual) rms_norm_forward<true, false>(x, residual, w, rows, width, eps, y, rstd, sum, amax);
    else if (whole) rms_norm_forward<false, true>(x, residual, w, rows, width, eps, y, rstd, sum, amax);
    else rms_norm_forward<false, false>(x, residual, w, rows, width, eps, y, rstd, sum, amax);
}

KERNEL_OF(512, 2) rms_norm_forward_bf16(const bf16* x, const bf16* residual, const bf16* w, i64 rows, i64 width, float eps, bf16* y, float* rstd, bf16* sum, float* amax)
{
    rms_norm_forward(x, residual, w, rows, width, eps, y, rstd, sum, amax);
}

KERNEL_OF(512, 2) rms_norm_forward_f32(const float* x, const float* residual, const float* w, i64 rows, i64 width, float eps, float* y, float* rstd, float* sum, float* amax)
{
    rms_norm_forward(x, residual, w, rows, width, eps, y, rstd, sum, amax);
}
