// float8 = encode(x * scale) with given scales, written transposed, or both ways in one pass over x.
#include "cast.cuh"

// x [R, C] -> y [R, C] (not written where null) and yt [C, R]. Scale of an element: scale[row * row_step + column * column_step].
#define CAST(T, F, NAME)                                                                                                              \
    KERNEL_OF(tile_threads, 4) NAME(const T* x, const float* scale, i64 row_step, i64 column_step, i64 rows, i64 columns, u8* y, u8* yt) \
    {                                                                                                                                 \
        cast_tiles<F>(x, Factors<lanes_of<T>()>(scale, row_step, column_step), rows, columns, y, yt);                                 \
    }
CAST(bf16, E4m3, cast_transposed_bf16_e4m3)
CAST(bf16, E5m2, cast_transposed_bf16_e5m2)
CAST(float, E4m3, cast_transposed_f32_e4m3)
CAST(float, E5m2, cast_transposed_f32_e5m2)
#undef CAST
