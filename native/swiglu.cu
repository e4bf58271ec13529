// SwiGLU: y = silu(a) * b with silu(a) = a * sigmoid(a), in fp32, rounded once at the end.
#include "types.cuh"

DEVICE float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

// a, b [count] -> y [count].
template <typename T> DEVICE void swiglu_forward(const T* a, const T* b, i64 count, T* y)
{
    constexpr int N = lanes_of<T>();
    const bool whole = aligned(a) && aligned(b) && aligned(y);
    for (i64 i = ((i64)blockIdx.x * blockDim.x + threadIdx.x) * N; i < count; i += (i64)gridDim.x * blockDim.x * N)
    {
        const bool all = whole && i + N <= count;
        Pack<T, N> p = load<N>(a + i, all, count - i);
        const Pack<T, N> q = load<N>(b + i, all, count - i);
        for (int k = 0; k < N; k++)
        {
            const float u = widen(p.at[k]);
            p.at[k] = narrow<T>(u * sigmoid(u) * widen(q.at[k]));
        }

        store<N>(y + i, p, all, count - i);
    }
}

KERNEL swiglu_forward_bf16(const bf16* a, const bf16* b, i64 count, bf16* y) { swiglu_forward(a, b, count, y); }
KERNEL swiglu_forward_f32(const float* a, const float* b, i64 count, float* y) { swiglu_forward(a, b, count, y); }

// g, a, b [count] -> da = g * b * s * (1 + a * (1 - s)), db = g * a * s, with s = sigmoid(a).
template <typename T> DEVICE void swiglu_backward(const T* g, const T* a, const T* b, i64 count, T* da, T* db)
{
    constexpr int N = lanes_of<T>();
    const bool whole = aligned(g) && aligned(a) && aligned(b) && aligned(da) && aligned(db);
    for (i64 i = ((i64)blockIdx.x * blockDim.x + threadIdx.x) * N; i < count; i += (i64)gridDim.x * blockDim.x * N)
    {
        const bool all = whole && i + N <= count;
        Pack<T, N> p = load<N>(a + i, all, count - i), q = load<N>(b + i, all, count - i);
        const Pack<T, N> r = load<N>(g + i, all, count - i);
        UNROLL for (int k = 0; k < N; k++)
        {
            const float u = widen(p.at[k]), v = widen(q.at[k]), d = widen(r.at[k]), s = sigmoid(u);
            p.at[k] = narrow<T>(d * v * s * (1.0f + u * (1.0f - s)));
            q.at[k] = narrow<T>(d * u * s);
        }

        store<N>(da + i, p, all, count - i);
        store<N>(db + i, q, all, count - i);
    }
}

KERNEL swiglu_backward_bf16(const bf16* g, const bf16* a, const bf16* b, i64 count, bf16* da, bf16* db) { swiglu_backward(g, a, b, count, da, db); }
KERNEL swiglu_backward_f32(const float* g, const float* a, const float* b, i64 count, float* da, float* db) { swiglu_backward(g, a, b, count, da, db); }
