// A scale per row in one pass: a row stays in registers from its amax to its bytes. On the way, where asked for, the amaxes of columns and parts of the amax of all.
#include "access.cuh"
#include "columns.cuh"
#include "scale.cuh"
#include "tile.cuh"

// A thread keeps this many elements of a row; rows of more than 512 times as many are read a second time beyond.
constexpr int kept_elements = 32, most_threads = 512;

// The largest over the threads of a row, which are whole warps. The maxima of warps go through one of two halves of `shared`, in turn: a half is written again only after all have passed
// the other one's barrier.
DEVICE u32 reduce_row(u32 value, u32* shared, int half)
{
    value = reduce_warp<Max>(value);
    if (blockDim.x == 32) return value;
    const int warps = blockDim.x / 32, warp = threadIdx.x / 32;
    u32* own = shared + half * (most_threads / 32) + threadIdx.y * warps;
    if (threadIdx.x % 32 == 0) own[warp] = value;
    __syncthreads();
    for (int k = 0; k < warps; k++) value = Max::of(value, own[k]);
    return value;
}

// x [R, C] -> y [R, C], scale and inverse [R], parts [gridDim.x]: of the amax of x. COLUMNS: also partial [gridDim.x, C], the largest magnitudes that each block has seen of each column;
// C is then at most what the threads of a row keep. blockDim.x threads take a row, a multiple of 32; blockDim.y rows at a time.
template <typename F, bool COLUMNS, typename T>
DEVICE void cast_rows(const T* x, i64 rows, i64 columns, int power_of_two, u8* y, float* scale, float* inverse, float* parts, T* partial)
{
    constexpr int N = lanes_of<T>(), P = kept_elements / N;
    __shared__ u32 shared[2 * most_threads / 32];
    const bool whole = aligned(x) && aligned(y) && columns % N == 0;
    const i64 stride = (i64)blockDim.x * N, own = (i64)threadIdx.x * N;
    u32 all = 0, best[COLUMNS ? P : 1][N] = {};
    int half = 0;
    for (i64 first = (i64)blockIdx.x * blockDim.y; first < rows; first += (i64)gridDim.x * blockDim.y, half ^= 1)
    {
        const i64 row = first + threadIdx.y;
        const bool exists = row < rows;
        const T* from = x + row * columns;
        Raw<T, N> kept[P] {};
        UNROLL for (int p = 0; p < P; p++)
        {
            const i64 c = own + p * stride;
            if (exists && c < columns) kept[p] = fetch<N>(from + c, whole, columns - c);
        }

        u32 amax = 0;
        UNROLL for (int p = 0; p < P; p++)
        {
            const Pack<T, N> pack = unpack(kept[p]);
            UNROLL for (int k = 0; k < N; k++)
            {
                const u32 m = magnitude(pack.at[k]);
                amax = Max::of(amax, m);
                if (COLUMNS) best[p][k] = Max::of(best[p][k], m);
            }
        }

        if (exists)
            for (i64 c = own + P * stride; c < columns; c += stride)
            {
                const Pack<T, N> pack = unpack(fetch<N>(from + c, whole, columns - c));
                UNROLL for (int k = 0; k < N; k++) amax = Max::of(amax, magnitude(pack.at[k]));
            }

        amax = reduce_row(amax, shared, half);
        all = Max::of(all, amax);
        if (!exists) continue;
        const float s = scale_of_amax<F>(amax, power_of_two);
        const auto factor = [=](int) { return s; };
        u8* to = y + row * columns;
        UNROLL for (int p = 0; p < P; p++)
        {
            const i64 c = own + p * stride;
            if (c >= columns) continue;
            u32 words[N / 4];
            encode_pack<F>(unpack(kept[p]), factor, words);
            store_words(to + c, words, whole, columns - c);
        }

        for (i64 c = own + P * stride; c < columns; c += stride)
        {
            u32 words[N / 4];
            encode_pack<F>(unpack(fetch<N>(from + c, whole, columns - c)), factor, words);
            store_words(to + c, words, whole, columns - c);
        }

        if (threadIdx.x == 0)
        {
            scale[row] = s;
            inverse[row] = 1.0f / s;
        }
    }

    // Rows beyond the last have no magnitude. Each thread has the maximum of its rows; the block's is that over the threads' second index.
    __shared__ u32 of_rows[most_threads / 32];
    if (threadIdx.x == 0) of_rows[threadIdx.y] = all;
    __syncthreads();
    if (threadIdx.x == 0 && threadIdx.y == 0)
    {
        for (int k = 1; k < (int)blockDim.y; k++) all = Max::of(all, of_rows[k]);
        parts[blockIdx.x] = from_magnitude(all);
    }

    if (!COLUMNS) return;
    // Only blocks of 256 threads have several rows at a time.
    __shared__ __align__(16) u32 joined[COLUMNS ? 256 * N : 4];
    UNROLL for (int p = 0; p < (COLUMNS ? P : 1); p++)
    {
        T* to = partial + blockIdx.x * columns + p * stride;
        const i64 count = columns - p * stride;
        if (blockDim.y == 1)
        {
            if (own >= count) continue;
            Pack<T, N> pack;
            UNROLL for (int k = 0; k < N; k++) pack.at[k] = as_element<T>(best[p][k]);
            put<N>(to + own, pack, aligned(partial) && columns % N == 0, count - own);
        }
        else
            join_columns<N>(best[p], joined, [=](int column, u32 largest)
            {
                if (column < count) to[column] = as_element<T>(largest);
            });
    }
}

#define CAST(T, F, NAME)                                                                                                              \
    KERNEL_OF(most_threads, 1) NAME(const T* x, i64 rows, i64 columns, int power_of_two, u8* y, float* scale, float* inverse, float* parts) \
    {                                                                                                                                 \
        cast_rows<F, false>(x, rows, columns, power_of_two, y, scale, inverse, parts, (T*)nullptr);                                   \
    }
CAST(bf16, E4m3, cast_rows_bf16_e4m3)
CAST(bf16, E5m2, cast_rows_bf16_e5m2)
CAST(float, E4m3, cast_rows_f32_e4m3)
CAST(float, E5m2, cast_rows_f32_e5m2)
#undef CAST

#define CAST(T, F, NAME)                                                                                                              \
    KERNEL_OF(most_threads, 1) NAME(const T* x, i64 rows, i64 columns, int power_of_two, u8* y, float* scale, float* inverse, float* parts, T* partial) \
    {                                                                                                                                 \
        cast_rows<F, true>(x, rows, columns, power_of_two, y, scale, inverse, parts, partial);                                        \
    }
CAST(bf16, E4m3, cast_rows_columns_bf16_e4m3)
CAST(bf16, E5m2, cast_rows_columns_bf16_e5m2)
CAST(float, E4m3, cast_rows_columns_f32_e4m3)
CAST(float, E5m2, cast_rows_columns_f32_e5m2)
#undef CAST
