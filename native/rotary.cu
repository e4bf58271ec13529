// Rotary embedding on adjacent pairs: (a, b) -> (a cos - b sin, a sin + b cos), each product rounded, as the plain chain does. Backward is the rotation by the
// opposite angle: direction -1. A thread keeps its angles for four heads of a position.
#include "rows.cuh"

struct Strides { i64 batch, position, head; };

template <typename T, int N> DEVICE Raw<T, N> turned(const Raw<T, N>& x, const Raw<float, N / 2>& cos, const Raw<float, N / 2>& sin, float direction)
{
    float y[N], c[N / 2], s[N / 2];
    widen_all(x, y);
    widen_all(cos, c);
    widen_all(sin, s);
    UNROLL for (int k = 0; k < N; k += 2)
    {
        const float a = y[k], b = y[k + 1], p = c[k / 2], q = direction * s[k / 2];
        y[k] = plus(times(a, p), -times(b, q));
        y[k + 1] = plus(times(a, q), times(b, p));
    }

    return narrow_all<T, N>(y);
}

template <bool Whole, typename T>
DEVICE u32 rotary(
    const T* x, const float* cos, const float* sin, i64 positions, i64 length, i64 heads, i64 width, const Strides from, const Strides to, i64 across, float direction, T* y)
{
    constexpr int N = lanes_of<T>(), K = 4;
    const u32 head = threadIdx.y % (u32)across, line = threadIdx.y / (u32)across, lines = blockDim.y / (u32)across;
    u32 magnitudes = 0;
    for (i64 c = threadIdx.x * N; c < width; c += (i64)blockDim.x * N)
        for (i64 at = (i64)blockIdx.x * lines + line; at < positions; at += (i64)gridDim.x * lines)
        {
            // In 32 bits, which divide in a fraction of the time; the host holds the number of positions to that.
            const u32 batch = (u32)at / (u32)length, position = (u32)at % (u32)length;
            const i64 angle = position * (width / 2) + c / 2, left = width - c;
            const Raw<float, N / 2> p = fetch<N / 2>(cos + angle, Whole, left / 2), q = fetch<N / 2>(sin + angle, Whole, left / 2);
            const T* source = x + batch * from.batch + position * from.position + c;
            T* target = y + batch * to.batch + position * to.position + c;
            for (i64 h = head; h < heads; h += K * across)
            {
                Raw<T, N> kept[K];
                UNROLL for (int k = 0; k < K; k++)
                    if (h + k * across < heads) kept[k] = fetch<N>(source + (h + k * across) * from.head, Whole, left);

                UNROLL for (int k = 0; k < K; k++)
                {
                    if (h + k * across >= heads) continue;
                    const Raw<T, N> result = turned(kept[k], p, q, direction);
                    put(target + (h + k * across) * to.head, result, Whole, left);
                    magnitudes = largest(magnitudes, result);
                }
            }
        }

    return magnitudes;
}

// x [B, S, H, D] -> y [B, S, H, D], each with strides of its own, D contiguous; cos and sin [S, D / 2]. positions = B * S; amax [blocks] or null. `across` threads down
// share a position.
template <typename T>
DEVICE void rotary(
    const T* x, const float* cos, const float* sin, i64 positions, i64 length, i64 heads, i64 width, const Strides from, const Strides to, i64 across, float direction, T* y,
    float* amax)
{
    constexpr int N = lanes_of<T>();
    const bool whole = aligned(x) && aligned(y) && aligned(cos) && aligned(sin)
        && (width | from.batch | from.position | from.head | to.batch | to.position | to.head) % N == 0;
    leave_amax<T>(
        whole ? rotary<true>(x, cos, sin, positions, length, heads, width, from, to, across, direction, y)
              : rotary<false>(x, cos, sin, positions, length, heads, width, from, to, across, direction, y),
        amax);
}

KERNEL_OF(256, 4) rotary_bf16(
    const bf16* x, const float* cos, const float* sin, i64 positions, i64 length, i64 heads, i64 width, i64 from_batch, i64 from_position, i64 from_head, i64 to_batch,
    i64 to_position, i64 to_head, i64 across, float direction, bf16* y, float* amax)
{
    rotary(x, cos, sin, positions, length, heads, width, { from_batch, from_position, from_head }, { to_batch, to_position, to_head }, across, direction, y, amax);
}

KERNEL_OF(256, 4) rotary_f32(
    const float* x, const float* cos, const float* sin, i64 positions, i64 length, i64 heads, i64 width, i64 from_batch, i64 from_position, i64 from_head, i64 to_batch,
    i64 to_position, i64 to_head, i64 across, float direction, float* y, float* amax)
{
    rotary(x, cos, sin, positions, length, heads, width, { from_batch, from_position, from_head }, { to_batch, to_position, to_head }, across, direction, y, amax);
}
