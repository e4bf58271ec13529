// y = x * (left * right) in fp32, rounded once: gives a product of scaled operands its scale back. The two factors are multiplied first, as the plain chain does.
#include "loads.cuh"
#include "types.cuh"

// x [R, C] -> y [R, C] (may be x). The factors of an element: left[row * left_step] and right[column * right_step]; step 0 one for all, 1 one per row or per column. The grid covers all
// columns; a thread keeps to its own, with their factors, and takes several rows at a time.
template <typename S, typename T>
DEVICE void rescale(const S* x, const float* left, i64 left_step, const float* right, i64 right_step, i64 rows, i64 columns, T* y)
{
    // 16 bytes of the wider of the two types.
    constexpr int N = lanes_of<S>() < lanes_of<T>() ? lanes_of<S>() : lanes_of<T>();
    const i64 c = ((i64)blockIdx.x * blockDim.x + threadIdx.x) * N, count = columns - c, step = blockDim.y;
    if (count <= 0) return;
    const bool whole = aligned(x) && aligned(y) && columns % N == 0;
    float b[N];
    UNROLL for (int k = 0; k < N; k++) b[k] = right[(k < count ? c + k : c) * right_step];
    for (i64 first = (i64)blockIdx.y * step * loads + threadIdx.y; first < rows; first += gridDim.y * step * loads)
    {
        Raw<S, N> from[loads] {};
        float a[loads] = {};
        UNROLL for (int u = 0; u < loads; u++)
        {
            const i64 row = first + u * step;
            if (row >= rows) continue;
            from[u] = fetch<N>(x + row * columns + c, whole, count);
            a[u] = left[row * left_step];
        }

        UNROLL for (int u = 0; u < loads; u++)
        {
            const i64 row = first + u * step;
            if (row >= rows) continue;
            const Pack<S, N> product = unpack(from[u]);
            Pack<T, N> to;
            UNROLL for (int k = 0; k < N; k++) to.at[k] = narrow<T>(times(widen(product.at[k]), times(a[u], b[k])));
            put<N>(y + row * columns + c, to, whole, count);
        }
    }
}

#define RESCALE(S, T, NAME)                                                                                                           \
    KERNEL NAME(const S* x, const float* left, i64 left_step, const float* right, i64 right_step, i64 rows, i64 columns, T* y)       \
    {                                                                                                                                 \
        rescale(x, left, left_step, right, right_step, rows, columns, y);                                                             \
    }
RESCALE(bf16, bf16, rescale_bf16_bf16)
RESCALE(bf16, float, rescale_bf16_f32)
RESCALE(float, bf16, rescale_f32_bf16)
RESCALE(float, float, rescale_f32_f32)
#undef RESCALE
