// y = x * (left * right) in fp32, rounded once: gives a product of scaled operands its scale back. The two factors are multiplied first, as the plain chain does.
#include "types.cuh"

// x [R, C] -> y [R, C] (may be x). The factors of an element: left[row * left_step] and right[column * right_step]; step 0 one for all, 1 one per row or per column.
template <typename S, typename T>
DEVICE void rescale(const S* x, const float* left, i64 left_step, const float* right, i64 right_step, i64 rows, i64 columns, T* y)
{
    // 16 bytes of the wider of the two types.
    constexpr int N = lanes_of<S>() < lanes_of<T>() ? lanes_of<S>() : lanes_of<T>();
    const bool whole = aligned(x) && aligned(y) && columns % N == 0;
    for (i64 row = blockIdx.y; row < rows; row += gridDim.y)
    {
        const float a = left[row * left_step];
        for (i64 c = ((i64)blockIdx.x * blockDim.x + threadIdx.x) * N; c < columns; c += (i64)gridDim.x * blockDim.x * N)
        {
            const i64 at = row * columns + c, count = columns - c;
            const Pack<S, N> from = load<N>(x + at, whole, count);
            Pack<T, N> to;
            for (int k = 0; k < N; k++) to.at[k] = narrow<T>(times(widen(from.at[k]), times(a, right[(k < count ? c + k : c) * right_step])));
            store<N>(y + at, to, whole, count);
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
