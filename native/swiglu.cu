// SwiGLU: y = silu(a) * b with silu(a) = a * sigmoid(a), in fp32, rounded once at the end.
#include "rows.cuh"

DEVICE float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

template <typename T, int N> DEVICE Raw<T, N> gated(const Raw<T, N>& a, const Raw<T, N>& b)
{
    float u[N], v[N];
    widen_all(a, u);
    widen_all(b, v);
    UNROLL for (int k = 0; k < N; k++) u[k] = u[k] * sigmoid(u[k]) * v[k];
    return narrow_all<T, N>(u);
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
        const Raw<T, N> p = fetch<N>(a + i, true, N), q = fetch<N>(b + i, true, N), r = fetch<N>(a + i + step, true, N), s = fetch<N>(b + i + step, true, N);
        const Raw<T, N> one = gated(p, q), two = gated(r, s);
        put(y + i, one, true, N);
        put(y + i + step, two, true, N);
        magnitudes = largest(largest(magnitudes, one), two);
    }

    for (; i < count; i += step)
    {
        const bool all = whole && i + N <= count;
        const Raw<T, N> result = gated(fetch<N>(a + i, all, count - i), fetch<N>(b + i, all, count - i));
        put(y + i, result, all, count - i);
        magnitudes = largest(magnitudes, result);
    }

    leave_amax<T>(magnitudes, amax);
}

KERNEL swiglu_forward_bf16(const bf16* a, const bf16* b, i64 count, bf16* y, float* amax) { swiglu_forward(a, b, count, y, amax); }
KERNEL swiglu_forward_f32(const float* a, const float* b, i64 count, float* y, float* amax) { swiglu_forward(a, b, count, y, amax); }

template <typename T, int N> DEVICE void swiglu_gradients(const T* g, const T* a, const T* b, T* da, T* db, bool all, i64 count, u32& magnitudes_a, u32& magnitudes_b)
{
    const Raw<T, N> p = fetch<N>(a, all, count), q = fetch<N>(b, all, count), r = fetch<N>(g, all, count);
    float u[N], v[N], d[N], first[N], second[N];
    widen_all(p, u);
    widen_all(q, v);
    widen_all(r, d);
    UNROLL for (int k = 0; k < N; k++)
    {
        const float s = sigmoid(u[k]);
        first[k] = d[k] * v[k] * s * (1.0f + u[k] * (1.0f - s));
        second[k] = d[k] * u[k] * s;
    }

    const Raw<T, N> one = narrow_all<T, N>(first), two = narrow_all<T, N>(second);
    put(da, one, all, count);
    put(db, two, all, count);
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
    leave_amax<T>(magnitudes_a, amax_a);
    __syncthreads();  // the first magnitudes have been read
    leave_amax<T>(magnitudes_b, amax_b);
}

KERNEL swiglu_backward_bf16(const bf16* g, const bf16* a, const bf16* b, i64 count, bf16* da, bf16* db, float* amax_a, float* amax_b)
{
    swiglu_backward(g, a, b, count, da, db, amax_a, amax_b);
}

KERNEL swiglu_backward_f32(const float* g, const float* a, const float* b, i64 count, float* da, float* db, float* amax_a, float* amax_b)
{
    swiglu_backward(g, a, b, count, da, db, amax_a, amax_b);
}
