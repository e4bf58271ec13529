// MX cast with blocks along rows: the 32 / N threads that hold a block agree on its amax by shuffles.
#include "mx.cuh"

// x [R, C], C a multiple of 32 -> y [R, C], scales [R, C / 32] and swizzled; what is null is not written, and the padding of the swizzled scales neither. The grid covers all columns; a
// thread keeps to its own and takes several rows at a time. blockDim.x is a power of two of at least a block's threads.
template <typename F, typename T> DEVICE void mx_dim0(const T* x, i64 rows, i64 columns, int mode, u8* y, u8* scales, u8* swizzled)
{
    // As many rows at a time as threads hold a block: each of them makes the scale of one row's.
    constexpr int N = lanes_of<T>(), M = 32 / N;
    const bool whole = aligned(x) && aligned(y);
    const i64 c = ((i64)blockIdx.x * blockDim.x + threadIdx.x) * N, blocks = columns / 32, step = blockDim.y;
    const int own = threadIdx.x % M;
    // Whole warps stay in the loop together: the shuffles need all their threads.
    for (i64 base = (i64)blockIdx.y * step * M; base < rows; base += gridDim.y * step * M)
    {
        const i64 first = base + threadIdx.y;
        Raw<T, N> kept[M] {};
        UNROLL for (int u = 0; u < M; u++)
            if (first + u * step < rows && c < columns) kept[u] = fetch<N>(x + (first + u * step) * columns + c, whole, N);
        u32 amax[M];
        UNROLL for (int u = 0; u < M; u++) amax[u] = largest_of<T>(largest(0u, kept[u]));
        const u32 e = mx_scale<F>(join_parts(amax, own, 1), mode);
        const Reciprocals<M> reciprocals(e, own, 1);
        UNROLL for (int u = 0; u < M; u++)
        {
            const i64 row = first + u * step;
            if (row >= rows || c >= columns) continue;
            const float r = reciprocals(u);
            u32 words[N / 4];
            encode_pack<F>(unpack(kept[u]), [=](int) { return r; }, words);
            store_words(y + row * columns + c, words, whole, N);
        }

        const i64 row = first + own * step;
        if (row >= rows || c >= columns) continue;
        if (scales != nullptr) scales[row * blocks + c / 32] = (u8)e;
        if (swizzled != nullptr) swizzled[mx_swizzled((u32)row, (u32)(c / 32), blocks)] = (u8)e;
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
