// MX cast with blocks along rows: the 32 / N threads that hold a block agree on its amax by shuffles.
#include "loads.cuh"
#include "mx.cuh"
#include "reduce.cuh"

// x [R, C], C a multiple of 32 -> y [R, C], scales [R, C / 32] and swizzled; what is null is not written, and the padding of the swizzled scales neither. The grid covers all columns; a
// thread keeps to its own and takes several rows at a time. blockDim.x is a power of two of at least a block's threads.
template <typename F, typename T> DEVICE void mx_dim0(const T* x, i64 rows, i64 columns, int mode, u8* y, u8* scales, u8* swizzled)
{
    constexpr int N = lanes_of<T>();
    const bool whole = aligned(x) && aligned(y);
    const i64 c = ((i64)blockIdx.x * blockDim.x + threadIdx.x) * N, blocks = columns / 32, step = blockDim.y;
    // Whole warps stay in the loop together: the shuffles need all their threads.
    for (i64 base = (i64)blockIdx.y * step * loads; base < rows; base += gridDim.y * step * loads)
    {
        const i64 first = base + threadIdx.y;
        Raw<T, N> kept[loads] {};
        UNROLL for (int u = 0; u < loads; u++)
            if (first + u * step < rows && c < columns) kept[u] = fetch<N>(x + (first + u * step) * columns + c, whole, N);
        UNROLL for (int u = 0; u < loads; u++)
        {
            const i64 row = first + u * step;
            const Pack<T, N> pack = unpack(kept[u]);
            u32 amax = 0;
            UNROLL for (int k = 0; k < N; k++) amax = Max::of(amax, magnitude(pack.at[k]));
            UNROLL for (int lane = 16 / N; lane > 0; lane >>= 1) amax = Max::of(amax, __shfl_xor_sync(0xffffffffu, amax, lane));
            if (row >= rows || c >= columns) continue;
            const u32 e = mx_scale<F>(amax, mode);
            const float r = mx_reciprocal(e);
            u32 words[N / 4];
            encode_pack<F>(pack, [=](int) { return r; }, words);
            store_words(y + row * columns + c, words, whole, N);
            if (c % 32 != 0) continue;
            if (scales != nullptr) scales[row * blocks + c / 32] = (u8)e;
            if (swizzled != nullptr) swizzled[mx_swizzled((u32)row, (u32)(c / 32), blocks)] = (u8)e;
        }
    }
}

#define CAST(T, F, NAME)                                                                                                              \
    KERNEL NAME(const T* x, i64 rows, i64 columns, int mode, u8* y, u8* scales, u8* swizzled)                                        \
    {                                                                                                                                 \
        mx_dim0<F>(x, rows, columns, mode, y, scales, swizzled);                                                                      \
    }
CAST(bf16, E4m3, mx_dim0_bf16_e4m3)
CAST(bf16, E5m2, mx_dim0_bf16_e5m2)
CAST(float, E4m3, mx_dim0_f32_e4m3)
CAST(float, E5m2, mx_dim0_f32_e5m2)
#undef CAST
