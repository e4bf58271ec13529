// float8 bytes to the values they stand for: exact in bf16 and in fp32. 16 elements per thread.
#include "float8.cuh"

// x [count] -> y [count].
template <typename F, typename T> DEVICE void decode_all(const u8* x, i64 count, T* y)
{
    constexpr int N = lanes_of<T>();
    const bool whole = aligned(x) && aligned(y);
    for (i64 i = ((i64)blockIdx.x * blockDim.x + threadIdx.x) * 16; i < count; i += (i64)gridDim.x * blockDim.x * 16)
    {
        const bool all = whole && i + 16 <= count;
        const Pack<u8, 16> bytes = load<16>(x + i, all, count - i);
        UNROLL for (int k = 0; k < 16; k += N)
        {
            Pack<T, N> values;
            for (int j = 0; j < N; j++) values.at[j] = narrow<T>(decode<F>(bytes.at[k + j]));
            store<N>(y + i + k, values, all, count - i - k);
        }
    }
}

KERNEL decode_e4m3_bf16(const u8* x, i64 count, bf16* y) { decode_all<E4m3>(x, count, y); }
KERNEL decode_e5m2_bf16(const u8* x, i64 count, bf16* y) { decode_all<E5m2>(x, count, y); }
KERNEL decode_e4m3_f32(const u8* x, i64 count, float* y) { decode_all<E4m3>(x, count, y); }
KERNEL decode_e5m2_f32(const u8* x, i64 count, float* y) { decode_all<E5m2>(x, count, y); }
