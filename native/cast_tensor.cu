// float8 = encode(x * scale) with one scale, made from the parts of the amax by every block for itself: no launch before this one waits for a single number.
#include "cast.cuh"
#include "scale.cuh"

// x [count] -> y [count], scale and inverse [1].
#define CAST(T, F, NAME)                                                                                                              \
    KERNEL NAME(const T* x, const float* parts, i64 number, int power_of_two, i64 count, u8* y, float* scale, float* inverse)        \
    {                                                                                                                                 \
        cast_flat<F>(x, scale_from_parts<F>(parts, number, power_of_two, scale, inverse), count, y);                                  \
    }
CAST(bf16, E4m3, cast_tensor_bf16_e4m3)
CAST(bf16, E5m2, cast_tensor_bf16_e5m2)
CAST(float, E4m3, cast_tensor_f32_e4m3)
CAST(float, E5m2, cast_tensor_f32_e5m2)
#undef CAST

// x [R, C] -> yt [C, R] and, where y is not null, y [R, C]; scale and inverse [1]. From the end, which whoever made x has written last: it may still lie in the L2 cache.
#define CAST(T, F, NAME)                                                                                                              \
    KERNEL_OF(tile_threads, 4) NAME(const T* x, const float* parts, i64 number, int power_of_two, i64 rows, i64 columns, u8* y, u8* yt, float* scale, float* inverse) \
    {                                                                                                                                 \
        __shared__ __align__(16) u32 tile[tile_words];                                                                                \
        cast_tiles<F, true>(x, OneFactor { scale_from_parts<F>(parts, number, power_of_two, scale, inverse) }, rows, columns, y, yt, tile); \
    }
CAST(bf16, E4m3, cast_tensor_transposed_bf16_e4m3)
CAST(bf16, E5m2, cast_tensor_transposed_bf16_e5m2)
CAST(float, E4m3, cast_tensor_transposed_f32_e4m3)
CAST(float, E5m2, cast_tensor_transposed_f32_e5m2)
#undef CAST
