// Rotary embedding on adjacent pairs: (a, b) -> (a cos - b sin, a sin + b cos), each product rounded, as the plain chain does. Backward is the rotation by the
// opposite angle: direction -1.
#include "types.cuh"

// x [B, S, H, D] -> y [B, S, H, D] (may be x), cos and sin [S, D / 2]. vectors = B * S * H; vector v stands at position v / heads % length.
template <typename T>
DEVICE void rotary(const T* x, const float* cos, const float* sin, i64 vectors, i64 length, i64 heads, i64 width, float direction, T* y)
{
    constexpr int N = lanes_of<T>();
    const bool whole = aligned(x) && aligned(y) && width % N == 0;
    for (i64 v = (i64)blockIdx.x * blockDim.y + threadIdx.y; v < vectors; v += (i64)gridDim.x * blockDim.y)
    {
        const i64 angles = v / heads % length * (width / 2);
        for (i64 c = threadIdx.x * N; c < width; c += (i64)blockDim.x * N)
        {
            Pack<T, N> pack = load<N>(x + v * width + c, whole, width - c);
            for (int k = 0; k < N && c + k < width; k += 2)
            {
                const float a = widen(pack.at[k]), b = widen(pack.at[k + 1]);
                const float p = cos[angles + (c + k) / 2], q = direction * sin[angles + (c + k) / 2];
                pack.at[k] = narrow<T>(plus(times(a, p), -times(b, q)));
                pack.at[k + 1] = narrow<T>(plus(times(a, q), times(b, p)));
            }

            store<N>(y + v * width + c, pack, whole, width - c);
        }
    }
}

KERNEL rotary_bf16(const bf16* x, const float* cos, const float* sin, i64 vectors, i64 length, i64 heads, i64 width, float direction, bf16* y)
{
    rotary(x, cos, sin, vectors, length, heads, width, direction, y);
}

KERNEL rotary_f32(const float* x, const float* cos, const float* sin, i64 vectors, i64 length, i64 heads, i64 width, float direction, float* y)
{
    rotary(x, cos, sin, vectors, length, heads, width, direction, y);
}
