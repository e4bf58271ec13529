// MX cast with blocks along rows: the 32 / N threads that hold a block agree on its amax by shuffles.
#include "mx.cuh"
#include "reduce.cuh"

// x [R, C], C a multiple of 32 -> y [R, C], scales [R, C / 32], plain or swizzled (then the caller has zeroed the padding).
template <typename F, typename T>
DEVICE void mx_dim0(const T* x, i64 rows, i64 columns, int mode, int swizzled, u8* y, u8* scales)
{
    constexpr int N = lanes_of<T>();
    const bool whole = aligned(x) && aligned(y);
    const i64 blocks = columns / 32, packs = rows * columns / N;
    // Whole warps stay in the loop together: the shuffles need all their threads.
    const i64 warp = ((i64)blockIdx.x * blockDim.x + threadIdx.x) / 32 * 32;
    for (i64 first = warp; first < packs; first += (i64)gridDim.x * blockDim.x)
    {
        const i64 pack_index = first + threadIdx.x % 32;
        const bool exists = pack_index < packs;
        Pack<T, N> pack {};
        if (exists) pack = load<N>(x + pack_index * N, whole, N);
        u32 amax = 0;
        for (int k = 0; k < N; k++) amax = Max::of(amax, magnitude(pack.at[k]));
        for (int lane = 16 / N; lane > 0; lane >>= 1) amax = Max::of(amax, __shfl_xor_sync(0xffffffffu, amax, lane));
        if (!exists) continue;
        const u32 e = mx_scale<F>(amax, mode);
        const float r = mx_reciprocal(e);
        Pack<u8, N> bytes;
        for (int k = 0; k < N; k += 2) encode2<F>(times(widen(pack.at[k]), r), times(widen(pack.at[k + 1]), r), bytes.at + k);
        store<N>(y + pack_index * N, bytes, whole, N);
        const i64 block = pack_index * N / 32;
        if (pack_index * N % 32 == 0) scales[mx_scale_offset(block / blocks, block % blocks, blocks, swizzled != 0)] = (u8)e;
    }
}

#define CAST(T, F, NAME)                                                                                                              \
    KERNEL NAME(const T* x, i64 rows, i64 columns, int mode, int swizzled, u8* y, u8* scales)                                        \
    {                                                                                                                                 \
        mx_dim0<F>(x, rows, columns, mode, swizzled, y, scales);                                                                      \
    }
CAST(bf16, E4m3, mx_dim0_bf16_e4m3)
CAST(bf16, E5m2, mx_dim0_bf16_e5m2)
CAST(float, E4m3, mx_dim0_f32_e4m3)
CAST(float, E5m2, mx_dim0_f32_e5m2)
#undef CAST
