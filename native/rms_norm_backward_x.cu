// Gradient of RMSNorm with respect to its input: dx = r * (g * w - x * r² * mean(g * w * x)), r the saved reciprocal root. One block per row: its g and x
// stay in registers between the sum and the result, only what does not fit there is read a second time; w, which all rows share, comes from the cache.
#include "reduce.cuh"

template <typename T, int N> DEVICE float plus_products(const Pack<T, N>& g, const Pack<T, N>& w, const Pack<T, N>& x, float sum)
{
    for (int k = 0; k < N; k++) sum += widen(g.at[k]) * widen(w.at[k]) * widen(x.at[k]);
    return sum;
}

template <typename T, int N> DEVICE Pack<T, N> gradient(const Pack<T, N>& g, const Pack<T, N>& w, const Pack<T, N>& x, float r, float slope)
{
    Pack<T, N> dx;
    for (int k = 0; k < N; k++) dx.at[k] = narrow<T>(r * (widen(g.at[k]) * widen(w.at[k]) - widen(x.at[k]) * slope));
    return dx;
}

// g, x [R, D], w [D], rstd [R] -> dx [R, D].
template <typename T> DEVICE void rms_norm_backward_x(const T* g, const T* x, const T* w, const float* rstd, i64 rows, i64 width, T* dx)
{
    constexpr int N = lanes_of<T>(), K = kept_packs<T>();
    const i64 step = (i64)blockDim.x * N, first = threadIdx.x * N;
    __shared__ float shared[32];
    const bool whole = aligned(g) && aligned(x) && aligned(w) && aligned(dx) && width % N == 0;
    for (i64 row = blockIdx.x; row < rows; row += gridDim.x)
    {
        const i64 at = row * width;
        Pack<T, N> kept_g[K], kept_x[K];
        float sum = 0.0f;
        UNROLL for (int p = 0; p < K; p++)
        {
            const i64 c = first + p * step;
            if (c >= width) continue;
            kept_g[p] = load<N>(g + at + c, whole, width - c);
            kept_x[p] = load<N>(x + at + c, whole, width - c);
            sum = plus_products(kept_g[p], load<N>(w + c, whole, width - c), kept_x[p], sum);
        }

        for (i64 c = first + K * step; c < width; c += step)
            sum = plus_products(load<N>(g + at + c, whole, width - c), load<N>(w + c, whole, width - c), load<N>(x + at + c, whole, width - c), sum);

        sum = reduce_block<Sum>(sum, shared);
        const float r = rstd[row], slope = r * r * sum / (float)width;
        UNROLL for (int p = 0; p < K; p++)
        {
            const i64 c = first + p * step;
            if (c < width) store<N>(dx + at + c, gradient(kept_g[p], load<N>(w + c, whole, width - c), kept_x[p], r, slope), whole, width - c);
        }

        for (i64 c = first + K * step; c < width; c += step)
        {
            const Pack<T, N> a = load<N>(g + at + c, whole, width - c), b = load<N>(x + at + c, whole, width - c);
            store<N>(dx + at + c, gradient(a, load<N>(w + c, whole, width - c), b, r, slope), whole, width - c);
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
