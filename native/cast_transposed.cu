// float8 = encode(x * scale) with given scales, written transposed, or both ways in one pass over x; from the first row on, which whoever found the scales (cast_rows) has read last.
#include "cast.cuh"

// x [R, C] -> y [R, C] (not written where null) and yt [C, R]. Scale of an element: scale[row * row_step + column * column_step]: steps (0, 0) one scale, (1, 0) one per row, (0, 1) one per column.
template <typename F, typename T> DEVICE void cast_transposed(const T* x, const float* scale, i64 row_step, i64 column_step, i64 rows, i64 columns, u8* y, u8* yt)
{
    __shared__ __align__(16) u32 tile[tile_words];
    if (column_step != 0) cast_tiles<F, false>(x, ColumnFactors<lanes_of<T>()>(scale), rows, columns, y, yt, tile);
    else if (row_step != 0) cast_tiles<F, false>(x, RowFactors(scale), rows, columns, y, yt, tile);
    else cast_tiles<F, false>(x, OneFactor { *scale }, rows, columns, y, yt, tile);
}

#define CAST(T, F, NAME)                                                                                                              \
    KERNEL_OF(tile_threads, 4) NAME(const T* x, const float* scale, i64 row_step, i64 column_step, i64 rows, i64 columns, u8* y, u8* yt) \
    {                                                                                                                                 \
        cast_transposed<F>(x, scale, row_step, column_step, rows, columns, y, yt);                                                    \
    }
CAST(bf16, E4m3, cast_transposed_bf16_e4m3)
CAST(bf16, E5m2, cast_transposed_bf16_e5m2)
CAST(float, E4m3, cast_transposed_f32_e4m3)
CAST(float, E5m2, cast_transposed_f32_e5m2)
#undef CAST
