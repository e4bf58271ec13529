// float8 bytes to the values they stand for: exact in bf16 and in fp32. A thread writes 16 bytes at a time beside its neighbours', and reads what they need.
#include "float8.cuh"

// x [count] -> y [count].
template <typename F, typename T> DEVICE void decode_elements(const u8* x, i64 count, T* y)
{
    // A load is of 8 or 4 bytes here: more of them.
    constexpr int N = lanes_of<T>(), packs_at_once = 8;
    const i64 packs = aligned(x) && aligned(y) ? count / N : 0, stride = (i64)gridDim.x * blockDim.x;
    for (i64 first = (i64)blockIdx.x * blockDim.x * packs_at_once + threadIdx.x; first < packs; first += stride * packs_at_once)
    {
        Raw<u8, N> bytes[packs_at_once] {};
        UNROLL for (int u = 0; u < packs_at_once; u++)
        {
            const i64 pack = first + u * blockDim.x;
            if (pack < packs) bytes[u] = fetch<N>(x + pack * N, true, N);
        }

        UNROLL for (int u = 0; u < packs_at_once; u++)
        {
            const i64 pack = first + u * blockDim.x;
            if (pack >= packs) continue;
            float values[N];
            Raw<T, N> result;
            decode_all<F>(bytes[u], values);
            exact_all(values, result);
            write_words(y + pack * N, result.words);
        }
    }

    // What fills no pack; all of it where memory is not aligned.
    for (i64 i = packs * N + (i64)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += stride) y[i] = exact<T>(decode<F>(x[i]));
}

KERNEL decode_e4m3_bf16(const u8* x, i64 count, bf16* y) { decode_elements<E4m3>(x, count, y); }
KERNEL decode_e5m2_bf16(const u8* x, i64 count, bf16* y) { decode_elements<E5m2>(x, count, y); }
KERNEL decode_e4m3_f32(const u8* x, i64 count, float* y) { decode_elements<E4m3>(x, count, y); }
KERNEL decode_e5m2_f32(const u8* x, i64 count, float* y) { decode_elements<E5m2>(x, count, y); }
