// Float8 elements times the power of two of their block: exact but where the magnitude lies below the target's normal numbers. 16 elements per thread.
#include "mx.cuh"

// x [R, C], scales [R / height, C / width] -> y [R, C].
template <typename F, typename T>
DEVICE void decode_blocks(const u8* x, const u8* scales, i64 height, i64 width, i64 rows, i64 columns, T* y)
{
    constexpr int N = lanes_of<T>();
    const bool whole = aligned(x) && aligned(y) && columns % 16 == 0;
    for (i64 row = blockIdx.y; row < rows; row += gridDim.y)
    {
        const u8* scale = scales + row / height * (columns / width);
        for (i64 c = ((i64)blockIdx.x * blockDim.x + threadIdx.x) * 16; c < columns; c += (i64)gridDim.x * blockDim.x * 16)
        {
            const i64 at = row * columns + c, count = columns - c;
            const Pack<u8, 16> bytes = load<16>(x + at, whole, count);
            i64 block = c / width, left = (block + 1) * width - c;
            float factor = mx_value(scale[block]);
            for (int k = 0; k < 16; k += N)
            {
                Pack<T, N> values {};
                for (int j = 0; j < N && k + j < count; j++)
                {
                    if (left == 0)
                    {
                        factor = mx_value(scale[++block]);
                        left = width;
                    }

                    values.at[j] = narrow<T>(times(decode<F>(bytes.at[k + j]), factor));
                    left--;
                }

                store<N>(y + at + k, values, whole, count - k);
            }
        }
    }
}

#define DECODE(T, F, NAME)                                                                                                            \
    KERNEL NAME(const u8* x, const u8* scales, i64 height, i64 width, i64 rows, i64 columns, T* y)                                   \
    {                                                                                                                                 \
        decode_blocks<F>(x, scales, height, width, rows, columns, y);                                                                 \
    }
DECODE(bf16, E4m3, decode_blocks_e4m3_bf16)
DECODE(bf16, E5m2, decode_blocks_e5m2_bf16)
DECODE(float, E4m3, decode_blocks_e4m3_f32)
DECODE(float, E5m2, decode_blocks_e5m2_f32)
#undef DECODE
