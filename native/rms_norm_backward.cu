// Gradients of RMSNorm: dx = r * (g * w - x * r² * mean(g * w * x)), dw[d] = sum over rows of g * x * r, with r the saved reciprocal root. One pass over g and x makes
// both: a block takes one slice of the rows and keeps its part of dw, a second kernel adds up the slices. So the order of the sums depends on the shape alone.
#include "rows.cuh"

template <typename T, int N> DEVICE float plus_products(const Pack<T, N>& g, const Pack<T, N>& w, const Pack<T, N>& x, float sum)
{
    UNROLL for (int k = 0; k < N; k++) sum += widen(g.at[k]) * widen(w.at[k]) * widen(x.at[k]);
    return sum;
}

// The rounded gradient of N elements, with what flows past the norm added to it as an addition of its own would; its magnitudes join the others.
template <bool Past, bool Whole, typename T, int N>
DEVICE void write_gradient(
    const Pack<T, N>& g, const Pack<T, N>& w, const Pack<T, N>& x, float r, float slope, const T* past, T* dx, i64 count, u32& magnitudes)
{
    float result[N];
    UNROLL for (int k = 0; k < N; k++) result[k] = r * (widen(g.at[k]) * widen(w.at[k]) - widen(x.at[k]) * slope);
    Pack<T, N> rounded = narrow_all<T, N>(result);
    if (Past)
    {
        const Pack<T, N> other = load<N>(past, Whole, count);
        UNROLL for (int k = 0; k < N; k++) result[k] = widen(rounded.at[k]) + widen(other.at[k]);
        rounded = narrow_all<T, N>(result);
    }

    store<N>(dx, rounded, Whole, count);
    magnitudes = largest(magnitudes, rounded);
}

template <bool Past, bool Whole, typename T>
DEVICE void rms_norm_backward(
    const T* g, const T* x, const T* w, const float* rstd, const T* past, i64 rows, i64 width, T* dx, float* partial, float* amax, RowSums& sums, float* shared)
{
    constexpr int N = lanes_of<T>(), K = kept_packs<T>();
    const i64 step = (i64)blockDim.x * N, first = threadIdx.x * N;
    const i64 slice = (rows + gridDim.x - 1) / gridDim.x, begin = blockIdx.x * slice, end = begin + slice < rows ? begin + slice : rows;
    float* own = partial + blockIdx.x * width;
    Pack<T, N> kept_w[K];
    float dw[K][N] = {};
    UNROLL for (int p = 0; p < K; p++)
        if (first + p * step < width) kept_w[p] = load<N>(w + first + p * step, Whole, width - first - p * step);

    u32 magnitudes = 0;
    int turn = 0;
    for (i64 top = begin; top < end; top += blockDim.y)
    {
        // A row past the end has no elements: its threads wait for the others.
        const i64 row = top + threadIdx.y, from = row * width, stop = row < end ? width : 0;
        Pack<T, N> kept_g[K], kept_x[K];
        UNROLL for (int p = 0; p < K; p++)
        {
            const i64 c = first + p * step;
            if (c >= stop) continue;
            kept_g[p] = load<N>(g + from + c, Whole, width - c);
            kept_x[p] = load<N>(x + from + c, Whole, width - c);
        }

        float products = 0.0f;
        UNROLL for (int p = 0; p < K; p++)
            if (first + p * step < stop) products = plus_products(kept_g[p], kept_w[p], kept_x[p], products);

        for (i64 c = first + K * step; c < stop; c += step)
            products = plus_products(load<N>(g + from + c, Whole, width - c), load<N>(w + c, Whole, width - c), load<N>(x + from + c, Whole, width - c), products);

        products = reduce_row(products, sums, turn++);
        const float r = row < end ? rstd[row] : 0.0f, slope = r * r * products / (float)width;
        UNROLL for (int p = 0; p < K; p++)
        {
            const i64 c = first + p * step;
            if (c >= stop) continue;
            write_gradient<Past, Whole>(kept_g[p], kept_w[p], kept_x[p], r, slope, past + from + c, dx + from + c, width - c, magnitudes);
            UNROLL for (int k = 0; k < N; k++) dw[p][k] += widen(kept_g[p].at[k]) * (widen(kept_x[p].at[k]) * r);
        }

        for (i64 c = first + K * step; c < stop; c += step)
        {
            const Pack<T, N> a = load<N>(g + from + c, Whole, width - c), b = load<N>(x + from + c, Whole, width - c);
            write_gradient<Past, Whole>(a, load<N>(w + c, Whole, width - c), b, r, slope, past + from + c, dx + from + c, width - c, magnitudes);
            // Columns beyond the registers, in rows of which a block takes one at a time.
            for (int k = 0; k < N && c + k < width; k++) own[c + k] = (top == begin ? 0.0f : own[c + k]) + widen(a.at[k]) * (widen(b.at[k]) * r);
        }
    }

    if (begin >= end)
        for (i64 c = first + K * step; c < width; c += step)
            for (int k = 0; k < N && c + k < width; k++) own[c + k] = 0.0f;

    // The rows that a block takes at a time add up in their order.
    for (u32 y = 0; y < blockDim.y; y++)
    {
        if (y > 0) __syncthreads();
        if (threadIdx.y != y) continue;
        UNROLL for (int p = 0; p < K; p++)
            UNROLL for (int k = 0; k < N; k++)
            {
                const i64 c = first + p * step + k;
                if (c >= width) continue;
                const float sum = (y > 0 ? shared[c] : 0.0f) + dw[p][k];
                if (y + 1 < blockDim.y) shared[c] = sum;
                else own[c] = sum;
            }
    }

    leave_amax(magnitudes, amax);
}

// g, x [R, D], w [D], rstd [R], past [R, D] or null -> dx [R, D] (plus past), partial [blocks, D], amax [blocks] or null.
template <typename T>
DEVICE void rms_norm_backward(const T* g, const T* x, const T* w, const float* rstd, const T* past, i64 rows, i64 width, T* dx, float* partial, float* amax)
{
    __shared__ RowSums sums;
    __shared__ float shared[4096];  // a row of which a block takes two or more
    const bool whole = aligned(g) && aligned(x) && aligned(w) && aligned(past) && aligned(dx) && width % lanes_of<T>() == 0;
    if (past && whole) rms_norm_backward<true, true>(g, x, w, rstd, past, rows, width, dx, partial, amax, sums, shared);
    else if (past) rms_norm_backward<true, false>(g, x, w, rstd, past, rows, width, dx, partial, amax, sums, shared);
    else if (whole) rms_norm_backward<false, true>(g, x, w, rstd, past, rows, width, dx, partial, amax, sums, shared);
    else rms_norm_backward<false, false>(g, x, w, rstd, past, rows, width, dx, partial, amax, sums, shared);
}

KERNEL_OF(256, 2) rms_norm_backward_bf16(
    const bf16* g, const bf16* x, const bf16* w, const float* rstd, const bf16* past, i64 rows, i64 width, bf16* dx, float* partial, float* amax)
{
    rms_norm_backward(g, x, w, rstd, past, rows, width, dx, partial, amax);
}

KERNEL_OF(256, 2) rms_norm_backward_f32(
    const float* g, const float* x, const float* w, const float* rstd, const float* past, i64 rows, i64 width, float* dx, float* partial, float* amax)
{
    rms_norm_backward(g, x, w, rstd, past, rows, width, dx, partial, amax);
}

// partial [P, D] -> dw [D]. 32 columns to a block, each the sum of blockDim.y sums of every blockDim.y-th slice.
template <typename T> DEVICE void rms_norm_backward_finish(const float* partial, i64 parts, i64 width, T* dw)
{
    __shared__ float sums[8][32];
    for (i64 left = (i64)blockIdx.x * 32; left < width; left += (i64)gridDim.x * 32)
    {
        const i64 c = left + threadIdx.x;
        float sum = 0.0f;
        if (c < width)
            UNROLL_8 for (i64 p = threadIdx.y; p < parts; p += 8) sum += partial[p * width + c];

        __syncthreads();  // the sums of the columns before have been read
        sums[threadIdx.y][threadIdx.x] = sum;
        __syncthreads();
        if (threadIdx.y > 0 || c >= width) continue;
        for (int y = 1; y < 8; y++) sum += sums[y][threadIdx.x];
        dw[c] = narrow<T>(sum);
    }
}

KERNEL rms_norm_backward_finish_bf16(const float* partial, i64 parts, i64 width, bf16* dw) { rms_norm_backward_finish(partial, parts, width, dw); }
KERNEL rms_norm_backward_finish_f32(const float* partial, i64 parts, i64 width, float* dw) { rms_norm_backward_finish(partial, parts, width, dw); }
