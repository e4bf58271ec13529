// float8 = encode(x * scale), written as x lies.
#include "float8.cuh"

// x [R, C] -> y [R, C]. The scale of an element is scale[row * row_step + column * column_step]: steps (0, 0) one scale, (1, 0) one per row, (0, 1) one per column.
// A tensor with one scale may come as one row.
template <typename F, typename T>
DEVICE void cast_rowmajor(const T* x, const float* scale, i64 row_step, i64 column_step, i64 rows, i64 columns, u8* y)
{
    constexpr int N = lanes_of<T>();
    const bool whole = aligned(x) && aligned(y) && (rows == 1 || columns % N == 0);
    for (i64 row = blockIdx.y; row < rows; row += gridDim.y)
        for (i64 c = ((i64)blockIdx.x * blockDim.x + threadIdx.x) * N; c < columns; c += (i64)gridDim.x * blockDim.x * N)
        {
            const i64 at = row * columns + c, count = columns - c;
            const Pack<T, N> pack = load<N>(x + at, whole && count >= N, count);
            float s[N];
            for (int k = 0; k < N; k++) s[k] = scale[row * row_step + (k < count ? c + k : c) * column_step];
            Pack<u8, N> bytes;
            for (int k = 0; k < N; k += 2) encode2<F>(times(widen(pack.at[k]), s[k]), times(widen(pack.at[k + 1]), s[k + 1]), bytes.at + k);
            store<N>(y + at, bytes, whole && count >= N, count);
        }
}

#define CAST(T, F, NAME)                                                                                                              \
    KERNEL NAME(const T* x, const float* scale, i64 row_step, i64 column_step, i64 rows, i64 columns, u8* y)                         \
    {                                                                                                                                 \
        cast_rowmajor<F>(x, scale, row_step, column_step, rows, columns, y);                                                          \
    }
CAST(bf16, E4m3, cast_rowmajor_bf16_e4m3)
CAST(bf16, E5m2, cast_rowmajor_bf16_e5m2)
CAST(float, E4m3, cast_rowmajor_f32_e4m3)
CAST(float, E5m2, cast_rowmajor_f32_e5m2)
#undef CAST
