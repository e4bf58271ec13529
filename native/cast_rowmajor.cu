// float8 = encode(x * scale) with given scales, written as x lies.
#include "cast.cuh"

// x [R, C] -> y [R, C]. The grid covers all columns; a thread keeps to its own and takes several rows at a time.
template <typename F, typename T, typename Factor> DEVICE void cast_rowmajor(const T* x, Factor factor, i64 rows, i64 columns, u8* y)
{
    constexpr int N = lanes_of<T>();
    const i64 c = ((i64)blockIdx.x * blockDim.x + threadIdx.x) * N, count = columns - c;
    if (count <= 0) return;
    const bool whole = aligned(x) && aligned(y) && columns % N == 0;
    factor.columns(c, count);
    const i64 step = blockDim.y;
    for (i64 first = (i64)blockIdx.y * step * loads + threadIdx.y; first < rows; first += gridDim.y * step * loads)
    {
        Raw<T, N> kept[loads] {};
        UNROLL for (int u = 0; u < loads; u++)
            if (first + u * step < rows) kept[u] = fetch<N>(x + (first + u * step) * columns + c, whole, count);
        UNROLL for (int u = 0; u < loads; u++)
        {
            const i64 row = first + u * step;
            if (row >= rows) continue;
            factor.row(row);
            u32 words[N / 4];
            encode_pack<F>(unpack(kept[u]), factor, words);
            store_words(y + row * columns + c, words, whole, count);
        }
    }
}

// The scale of an element: scale[row * row_step + column * column_step].
template <typename F, typename T>
DEVICE void cast_rowmajor(const T* x, const float* scale, i64 row_step, i64 column_step, i64 rows, i64 columns, u8* y)
{
    if (column_step != 0) cast_rowmajor<F>(x, ColumnFactors<lanes_of<T>()>(scale), rows, columns, y);
    else if (row_step != 0) cast_rowmajor<F>(x, RowFactors(scale), rows, columns, y);
    else cast_flat<F>(x, *scale, rows * columns, y);
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
