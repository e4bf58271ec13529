// Float8 elements times the power of two of their block: exact but where the magnitude lies below the target's normal numbers.
#include "loads.cuh"
#include "mx.cuh"

// x [R, C], scales [R / height, C / width] -> y [R, C]. The grid covers all columns; a thread keeps to its own, knows in which blocks they lie, and takes several rows at a time.
template <typename F, typename T>
DEVICE void decode_blocks(const u8* x, const u8* scales, u32 height, u32 width, i64 rows, i64 columns, T* y)
{
    constexpr int N = lanes_of<T>();
    const i64 c = ((i64)blockIdx.x * blockDim.x + threadIdx.x) * N, count = columns - c, blocks = (u32)columns / width, step = blockDim.y;
    if (count <= 0) return;
    const bool whole = aligned(x) && aligned(y) && columns % N == 0;
    // One scale for all of a thread's columns; or one for each, side by side; or any.
    const bool one = width % N == 0, each = width == 1;
    i64 block[N];
    UNROLL for (int k = 0; k < N; k++) block[k] = (u32)(!one && k < count ? c + k : c) / width;
    for (i64 first = (i64)blockIdx.y * step * loads + threadIdx.y; first < rows; first += gridDim.y * step * loads)
    {
        Raw<u8, N> bytes[loads] {}, exponents[loads] {};
        UNROLL for (int u = 0; u < loads; u++)
        {
            const i64 row = first + u * step;
            if (row >= rows) continue;
            bytes[u] = fetch<N>(x + row * columns + c, whole, count);
            const u8* own = scales + (height == 1 ? row : (u32)row / height) * blocks;
            if (one) exponents[u].words[0] = own[block[0]];
            else if (each) exponents[u] = fetch<N>(own + c, whole && aligned(scales), count);
            else
                UNROLL for (int k = 0; k < N; k++) exponents[u].words[k / 4] |= (u32)own[block[k]] << (k % 4 * 8);
        }

        UNROLL for (int u = 0; u < loads; u++)
        {
            const i64 row = first + u * step;
            if (row >= rows) continue;
            const Pack<u8, N> codes = unpack(bytes[u]), e = unpack(exponents[u]);
            const float shared = mx_value(e.at[0]);
            Pack<T, N> values;
            UNROLL for (int k = 0; k < N; k++)
                values.at[k] = narrow<T>(times(decode<F>(codes.at[k]), one || k == 0 ? shared : mx_value(e.at[k])));
            put<N>(y + row * columns + c, values, whole, count);
        }
    }
}

#define DECODE(T, F, NAME)                                                                                                            \
    KERNEL NAME(const u8* x, const u8* scales, i64 height, i64 width, i64 rows, i64 columns, T* y)                                   \
    {                                                                                                                                 \
        decode_blocks<F>(x, scales, (u32)height, (u32)width, rows, columns, y);                                                       \
    }
DECODE(bf16, E4m3, decode_blocks_e4m3_bf16)
DECODE(bf16, E5m2, decode_blocks_e5m2_bf16)
DECODE(float, E4m3, decode_blocks_e4m3_f32)
DECODE(float, E5m2, decode_blocks_e5m2_f32)
#undef DECODE
