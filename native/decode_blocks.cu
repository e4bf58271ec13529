// Float8 elements times the power of two of their block: exact but where the magnitude lies below the target's normal numbers.
#include "mx.cuh"
#include "rows.cuh"

// Rows that a thread has under way: a load is of 8 or 4 bytes here.
constexpr int decoded_rows = 8;

// x [R, C], scales [R / height, C / width] -> y [R, C]. The grid covers all columns; a thread keeps to its own, knows in which blocks they lie, and takes several rows at a time. One: all of a
// thread's columns lie in one block. Otherwise each has one of its own, side by side, or any.
template <typename F, bool One, typename T>
DEVICE void decode_blocks(const u8* x, const u8* scales, u32 height, u32 width, i64 rows, i64 columns, T* y)
{
    constexpr int N = lanes_of<T>(), K = One ? decoded_rows : decoded_rows / 2;
    const i64 c = ((i64)blockIdx.x * blockDim.x + threadIdx.x) * N, count = columns - c, step = blockDim.y;
    const u32 blocks = (u32)columns / width;
    if (count <= 0) return;
    const bool whole = aligned(x) && aligned(y) && columns % N == 0;
    u32 block[One ? 1 : N];
    UNROLL for (int k = 0; k < (One ? 1 : N); k++) block[k] = (u32)(k < count ? c + k : c) / width;
    for (i64 first = (i64)blockIdx.y * step * K + threadIdx.y; first < rows; first += gridDim.y * step * K)
    {
        Raw<u8, N> bytes[K] {}, exponents[One ? 1 : K] {};
        u32 exponent[K] = {};
        UNROLL for (int u = 0; u < K; u++)
        {
            const i64 row = first + u * step;
            if (row >= rows) continue;
            bytes[u] = fetch<N>(x + row * columns + c, whole, count);
            const u8* own = scales + (i64)(height == 1 ? (u32)row : (u32)row / height) * blocks;
            if (One) exponent[u] = own[block[0]];
            else if (width == 1) exponents[u] = fetch<N>(own + c, whole && aligned(scales), count);
            else
                UNROLL for (int k = 0; k < N; k++) exponents[u].words[k / 4] |= (u32)own[block[One ? 0 : k]] << (k % 4 * 8);
        }

        UNROLL for (int u = 0; u < K; u++)
        {
            const i64 row = first + u * step;
            if (row >= rows) continue;
            float values[N];
            decode_all<F>(bytes[u], values);
            const float shared = mx_value(exponent[u]);
            UNROLL for (int k = 0; k < N; k++) values[k] = times(values[k], One ? shared : mx_value(unpack(exponents[One ? 0 : u]).at[k]));
            put(y + row * columns + c, narrow_all<T, N>(values), whole, count);
        }
    }
}

template <typename F, typename T>
DEVICE void decode_blocks(const u8* x, const u8* scales, u32 height, u32 width, i64 rows, i64 columns, T* y)
{
    if (width % lanes_of<T>() == 0) decode_blocks<F, true>(x, scales, height, width, rows, columns, y);
    else decode_blocks<F, false>(x, scales, height, width, rows, columns, y);
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
