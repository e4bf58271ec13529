// SwiGLU: y = silu(a) * b with silu(a) = a * sigmoid(a), in fp32, rounded once at the end.
#include "rows.cuh"

DEVICE float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

template <typename T, int N> DEVICE Pack<T, N> gated(const Pack<T, N>& a, const Pack<T, N>& b)
{
    float y[N];
    UNROLL for (int k = 0; k < N; k++)
    {
        const float u = widen(a.at[k]);
        y[k] = u * sigmoid(u) * widen(b.at[k]);
    }

    return narrow_all<T, N>(y);
}

// a, b [count] -> y [count], amax [blocks] or null. Two packs at a time, so that four reads are under way together.
template <typename T> DEVICE void swiglu_forward(const T* a, const T* b, i64 count, T* y, float* amax)
{
    constexpr int N = lanes_of<T>();
    const bool whole = aligned(a) && aligned(b) && aligned(y);
    const i64 step = (i64)gridDim.x * blockDim.x * N;
    u32 magnitudes = 0;
    i64 i = ((i64)blockIdx.x * blockDim.x + threadIdx.x) * N;
    for (; whole && i + step + N <= count; i += 2 * step)
    {
        const Pack<T, N> p = load<N>(a + i, true, N), q = load<N>(b + i, true, N), r = load<N>(a + i + step, true, N), s = load<N>(b + i + step, true, N);
        const Pack<T, N> one = gated(p, q), two = gated(r, s);
        store<N>(y + i, one, true, N);
        store<N>(y + i + step, two, true, N);
        magnitudes = largest(largest(magnitudes, one), two);
    }

    for (; i < count; i += step)
    {
        const bool all = whole && i + N <= count;
        const Pack<T, N> result = gated(load<N>(a + i, all, count - i), load<N>(b + i, all, count - i));
        store<N>(y + i, result, all, count - i);
        magnitudes = largest(magnitudes, result);
    }

    leave_amax(magnitudes, amax);
}

KERNEL swiglu_forward_bf16(const bf16* a, const bf16* b, i64 count, bf16* y, float* amax) { swiglu_forward(a, b, count, y, amax); }
KERNEL swiglu_forward_f32(const float* a, const float* b, i64 count, float* y, float* amax) { swiglu_forward(a, b, count, y, amax); }

template <typename T, int N> DEVICE void swiglu_gradients(const T* g, const T* a, const T* b, T* da, T* db, bool all, i64 count, u32& magnitudes_a, u32& magnitudes_b)
{
    const Pack<T, N> p = load<N>(a, all, count), q = load<N>(b, all, count), r = load<N>(g, all, count);
    float first[N], second[N];
    UNROLL for (int k = 0; k < N; k++)
    {
        const float u = widen(p.at[k]), v = widen(q.at[k]), d = widen(r.at[k]), s = sigmoid(u);
        first[k] = d * v * s * (1.0f + u * (1.0f - s));
        second[k] = d * u * s;
    }

    const Pack<T, N> one = narrow_all<T, N>(first), two = narrow_all<T, N>(second);
    store<N>(da, one, all, count);
    store<N>(db, two, all, count);
    magnitudes_a = largest(magnitudes_a, one);
    magnitudes_b = largest(magnitudes_b, two);
}

// g, a, b [count] -> da = g * b * s * (1 + a * (1 - s)), db = g * a * s, with s = sigmoid(a); amax_a, amax_b [blocks] or null.
template <typename T> DEVICE void swiglu_backward(const T* g, const T* a, const T* b, i64 count, T* da, T* db, float* amax_a, float* amax_b)
{
    constexpr int N = lanes_of<T>();
    const bool whole = aligned(g) && aligned(a) && aligned(b) && aligned(da) && aligned(db);
    const i64 step = (i64)gridDim.x * blockDim.x * N;
    u32 magnitudes_a = 0, magnitudes_b = 0;
    i64 i = ((i64)blockIdx.x * blockDim.x + threadIdx.x) * N;
    for (; whole && i + N <= count; i += step) swiglu_gradients<T, N>(g + i, a + i, b + i, da + i, db + i, true, N, magnitudes_a, magnitudes_b);
    for (; i < count; i += step) swiglu_gradients<T, N>(g + i, a + i, b + i, da + i, db + i, false, count - i, magnitudes_a, magnitudes_b);
    leave_amax(magnitudes_a, amax_a);
    __syncthreads();  // the first magnitudes have been read
    leave_amax(magnitudes_b, amax_b);
}

KERNEL swiglu_backward_bf16(const bf16* g, const bf16* a, const bf16* b, i64 count, bf16* da, bf16* db, float* amax_a, float* amax_b)
{
    swiglu_backward(g, a, b, count, da, db, amax_a, amax_b);
}

KERNEL swiglu_backward_f32(const float* g, const float* a, const float* b, i64 count, float* da, float* db, float* amax_a, float* amax_b)
{
    swiglu_backward(g, a, b, count, da, db, amax_a, amax_b);
}
