// Gradients of RMSNorm: dx = r * (g * w - x * r² * mean(g * w * x)), dw[d] = sum over rows of g * x * r, with r the saved reciprocal root. One pass over g and x makes
// both: a block takes one slice of the rows and keeps its part of dw, a second kernel adds up the slices. So the order of the sums depends on the shape alone.
#include "rows.cuh"
#include "stage.cuh"

template <typename T, int N> DEVICE float plus_products(const Raw<T, N>& g, const Raw<T, N>& w, const Raw<T, N>& x, float sum)
{
    float a[N], b[N], c[N];
    widen_all(g, a);
    widen_all(w, b);
    widen_all(x, c);
    UNROLL for (int k = 0; k < N; k++) sum += a[k] * b[k] * c[k];
    return sum;
}

// What N elements of a row add to the gradient of the weight, whose sums lie in shared memory, four at a time and `apart` floats apart: registers are for what comes from global memory.
template <typename T, int N> DEVICE void weigh(const Raw<T, N>& g, const Raw<T, N>& x, float r, float* sums, int apart)
{
    float a[N], b[N];
    widen_all(g, a);
    widen_all(x, b);
    UNROLL for (int k = 0; k < N; k += 4)
    {
        Pack<float, 4>* at = reinterpret_cast<Pack<float, 4>*>(sums + k / 4 * apart);
        Pack<float, 4> four = *at;
        UNROLL for (int j = 0; j < 4; j++) four.at[j] += a[k + j] * (b[k + j] * r);
        *at = four;
    }
}

// The rounded gradient of N elements, and what flows past the norm added to it as an addition of its own would.
template <bool Past, typename T, int N>
DEVICE Raw<T, N> gradient(const Raw<T, N>& g, const Raw<T, N>& w, const Raw<T, N>& x, float r, float slope, const Raw<T, N>& past)
{
    float a[N], b[N], c[N];
    widen_all(g, a);
    widen_all(w, b);
    widen_all(x, c);
    UNROLL for (int k = 0; k < N; k++) a[k] = r * (a[k] * b[k] - c[k] * slope);
    Raw<T, N> rounded = narrow_all<T, N>(a);
    if (!Past) return rounded;
    widen_all(rounded, a);
    widen_all(past, b);
    UNROLL for (int k = 0; k < N; k++) a[k] += b[k];
    return narrow_all<T, N>(a);
}

template <bool Past, bool Whole, typename T>
DEVICE void rms_norm_backward(
    const T* g, const T* x, const T* w, const float* rstd, const T* past, i64 rows, i64 columns, T* dx, float* partial, float* amax, RowSums& sums, u32* memory)
{
    constexpr int N = lanes_of<T>(), K = kept_packs<T>(), Tensors = Past ? 3 : 2;
    // A row of fp32 would take more shared memory than some devices have.
    constexpr bool Staged = Whole && sizeof(T) == 2;
    const int width = (int)columns, step = blockDim.x * N, first = threadIdx.x * N, threads = blockDim.x * blockDim.y, thread = threadIdx.y * blockDim.x + threadIdx.x;
    const i64 slice = (rows + gridDim.x - 1) / gridDim.x, begin = blockIdx.x * slice, end = begin + slice < rows ? begin + slice : rows;
    const float share = 1.0f / (float)width;
    float* own = partial + blockIdx.x * columns;
    // The thread's sums of a pack are N / 4 fours. Behind the sums of all threads lies what comes of the next row: pieces of g, of x and of what flows past.
    float* dw = reinterpret_cast<float*>(memory) + 4 * thread;
    const int apart = 4 * threads;
    const Place stage = Place(memory) + (K * N / 4 * threads + thread);
    const auto bring = [=](i64 row)
    {
        UNROLL for (int p = 0; p < K; p++)
        {
            if (!Staged || row >= end || first + p * step >= width) continue;
            const i64 at = row * width + first + p * step;
            stage_piece(stage + Tensors * p * threads, g + at);
            stage_piece(stage + (Tensors * p + 1) * threads, x + at);
            if (Past) stage_piece(stage + (Tensors * p + 2) * threads, past + at);
        }

        end_group();
    };
    const auto root = [=](i64 row) { return row < end ? rstd[row] : 0.0f; };
    bring(begin + threadIdx.y);
    float r = root(begin + threadIdx.y);
    UNROLL for (int k = 0; k < K * N / 4; k++) *reinterpret_cast<Pack<float, 4>*>(dw + k * apart) = Pack<float, 4> {};

    u32 magnitudes = 0;
    int turn = 0;
    for (i64 top = begin; top < end; top += blockDim.y)
    {
        // A row past the end has no elements: its threads wait for the others.
        const i64 row = top + threadIdx.y, from = row * width;
        const int stop = row < end ? width : 0;
        // The weight comes from the first-level cache each time: in registers it would leave no room for more threads.
        Raw<T, N> kept_g[K], kept_x[K], kept_past[K], kept_w[K];
        await_groups<0>();
        UNROLL for (int p = 0; p < K; p++)
        {
            const int c = first + p * step;
            if (c >= stop) continue;
            kept_g[p] = Staged ? arrived<N, T>(stage + Tensors * p * threads) : fetch<N>(g + from + c, Whole, width - c);
            kept_x[p] = Staged ? arrived<N, T>(stage + (Tensors * p + 1) * threads) : fetch<N>(x + from + c, Whole, width - c);
            if (Past) kept_past[p] = Staged ? arrived<N, T>(stage + (Tensors * p + 2) * threads) : fetch<N>(past + from + c, Whole, width - c);
            kept_w[p] = fetch<N>(w + c, Whole, width - c);
        }

        bring(row + blockDim.y);
        const float next = root(row + blockDim.y);
        float products = 0.0f;
        UNROLL for (int p = 0; p < K; p++)
            if (first + p * step < stop) products = plus_products(kept_g[p], kept_w[p], kept_x[p], products);

        for (int c = first + K * step; c < stop; c += step)
            products = plus_products(fetch<N>(g + from + c, Whole, width - c), fetch<N>(w + c, Whole, width - c), fetch<N>(x + from + c, Whole, width - c), products);

        const float slope = r * r * reduce_row(products, sums, turn++) * share;
        UNROLL for (int p = 0; p < K; p++)
        {
            const int c = first + p * step;
            if (c >= stop) continue;
            const Raw<T, N> result = gradient<Past>(kept_g[p], kept_w[p], kept_x[p], r, slope, kept_past[p]);
            put(dx + from + c, result, Whole, width - c);
            magnitudes = largest(magnitudes, result);
            weigh(kept_g[p], kept_x[p], r, dw + p * N / 4 * apart, apart);
        }

        for (int c = first + K * step; c < stop; c += step)
        {
            const Raw<T, N> a = fetch<N>(g + from + c, Whole, width - c), b = fetch<N>(x + from + c, Whole, width - c);
            Raw<T, N> flows {};
            if (Past) flows = fetch<N>(past + from + c, Whole, width - c);
            const Raw<T, N> result = gradient<Past>(a, fetch<N>(w + c, Whole, width - c), b, r, slope, flows);
            put(dx + from + c, result, Whole, width - c);
            magnitudes = largest(magnitudes, result);
            // Columns beyond the registers, in rows of which a block takes one at a time.
            __align__(16) float sum[N] = {};
            for (int k = 0; k < N && c + k < width && top > begin; k++) sum[k] = own[c + k];
            weigh(a, b, r, sum, 4);
            for (int k = 0; k < N && c + k < width; k++) own[c + k] = sum[k];
        }

        r = next;
    }

    if (begin >= end)
        for (int c = first + K * step; c < width; c += step)
            for (int k = 0; k < N && c + k < width; k++) own[c + k] = 0.0f;

    // The rows that a block takes at a time add up in their order.
    __syncthreads();
    if (threadIdx.y == 0)
        for (int k = 0; k < K * N; k++)
        {
            const int c = first + k / N * step + k % N;
            if (c >= width) continue;
            float sum = 0.0f;
            for (u32 y = 0; y < blockDim.y; y++) sum += dw[k / 4 * apart + k % 4 + 4 * y * blockDim.x];
            own[c] = sum;
        }

    leave_amax<T>(magnitudes, amax);
}

// g, x [R, D], w [D], rstd [R], past [R, D] or null -> dx [R, D] (plus past), partial [blocks, D], amax [blocks] or null. Shared memory: 64 bytes a thread for the weight's gradient, and
// for bf16 32 more for each of g, x and past: the next row comes there while a thread works on its own.
template <typename T>
DEVICE void rms_norm_backward(const T* g, const T* x, const T* w, const float* rstd, const T* past, i64 rows, i64 width, T* dx, float* partial, float* amax)
{
    __shared__ RowSums sums;
    DYNAMIC_SHARED(memory);
    const bool whole = aligned(g) && aligned(x) && aligned(w) && aligned(past) && aligned(dx) && width % lanes_of<T>() == 0;
    if (past && whole) rms_norm_backward<true, true>(g, x, w, rstd, past, rows, width, dx, partial, amax, sums, memory);
    else if (past) rms_norm_backward<true, false>(g, x, w, rstd, past, rows, width, dx, partial, amax, sums, memory);
    else if (whole) rms_norm_backward<false, true>(g, x, w, rstd, past, rows, width, dx, partial, amax, sums, memory);
    else rms_norm_backward<false, false>(g, x, w, rstd, past, rows, width, dx, partial, amax, sums, memory);
}

KERNEL_OF(512, 2) rms_norm_backward_bf16(
    const bf16* g, const bf16* x, const bf16* w, const float* rstd, const bf16* past, i64 rows, i64 width, bf16* dx, float* partial, float* amax)
{
    rms_norm_backward(g, x, w, rstd, past, rows, width, dx, partial, amax);
}

KERNEL_OF(512, 2) rms_norm_backward_f32(
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
