// A scale per row in one pass: a row stays in registers from its amax to its bytes. On the way, where asked for, the amaxes of columns and parts of the amax of all.
#include "columns.cuh"
#include "scale.cuh"
#include "stage.cuh"

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
// C is then at most what the threads of a row keep. blockDim.x threads take a row, a multiple of 32; blockDim.y rows at a time. The next rows come into shared memory, 64 or 128 bytes for
// each thread, while a thread works on its row in registers. The last rows first: whoever made x has written them last, and they may still lie in the L2 cache.
template <typename F, bool COLUMNS, bool whole, typename T>
DEVICE void cast_rows(const T* x, i64 rows, i64 columns, int power_of_two, u8* y, float* scale, float* inverse, float* parts, T* partial)
{
    constexpr int N = lanes_of<T>(), P = kept_elements / N;
    __shared__ u32 shared[2 * most_threads / 32];
    DYNAMIC_SHARED(memory);
    const int threads = blockDim.x * blockDim.y, width = (int)columns, stride = blockDim.x * N, own = threadIdx.x * N;
    const Place stage = Place(memory) + (int)(threadIdx.y * blockDim.x + threadIdx.x);
    const i64 step = (i64)gridDim.x * blockDim.y;
    const auto bring = [=](i64 row)
    {
        UNROLL for (int p = 0; p < P; p++)
            if (whole && row >= 0 && own + p * stride < width) stage_piece(stage + p * threads, x + row * columns + own + p * stride);
        end_group();
    };
    u32 all = 0, best[COLUMNS ? P : 1][4] = {};
    int half = 0;
    i64 row = rows - 1 - (i64)blockIdx.x * blockDim.y - threadIdx.y;
    bring(row);
    for (i64 first = (i64)blockIdx.x * blockDim.y; first < rows; first += step, row -= step, half ^= 1)
    {
        const bool exists = row >= 0;
        const T* from = x + row * columns;
        Raw<T, N> kept[P] {};
        await_groups<0>();
        UNROLL for (int p = 0; p < P; p++)
        {
            const int c = own + p * stride;
            if (exists && c < width) kept[p] = whole ? arrived<N, T>(stage + p * threads) : fetch<N>(from + c, false, width - c);
        }

        bring(row - step);
        u32 word = 0;
        UNROLL for (int p = 0; p < P; p++)
            UNROLL for (int k = 0; k < 4; k++)
            {
                const u32 m = magnitudes<T>(kept[p].words[k]);
                word = larger<T>(word, m);
                if (COLUMNS) best[p][k] = larger<T>(best[p][k], m);
            }

        if (exists && !COLUMNS)
            for (int c = own + P * stride; c < width; c += stride) word = largest(word, fetch<N>(from + c, whole, width - c));

        const u32 amax = reduce_row(largest_of<T>(word), shared, half);
        all = Max::of(all, amax);
        if (!exists) continue;
        const float s = scale_of_amax<F>(amax, power_of_two);
        const auto factor = [=](int) { return s; };
        u8* to = y + row * columns;
        UNROLL for (int p = 0; p < P; p++)
        {
            const int c = own + p * stride;
            if (c >= width) continue;
            u32 words[N / 4];
            encode_pack<F>(unpack(kept[p]), factor, words);
            store_words(to + c, words, whole, width - c);
        }

        if (!COLUMNS)
            for (int c = own + P * stride; c < width; c += stride)
            {
                u32 words[N / 4];
                encode_pack<F>(unpack(fetch<N>(from + c, whole, width - c)), factor, words);
                store_words(to + c, words, whole, width - c);
            }

        if (threadIdx.x == 0)
        {
            scale[row] = s;
            inverse[row] = 1.0f / s;
        }
    }

    // Rows that do not exist have no magnitude. Each thread has the maximum of its rows; the block's is that over the threads' second index.
    __shared__ u32 of_rows[most_threads / 32];
    if (threadIdx.x == 0) of_rows[threadIdx.y] = all;
    __syncthreads();
    if (threadIdx.x == 0 && threadIdx.y == 0)
    {
        for (int k = 1; k < (int)blockDim.y; k++) all = Max::of(all, of_rows[k]);
        parts[blockIdx.x] = from_magnitude(all);
    }

    if constexpr (COLUMNS)
    {
        // Only blocks of 256 threads have several rows at a time.
        __shared__ __align__(16) u32 joined[256 * 4];
        UNROLL for (int p = 0; p < P; p++)
        {
            T* to = partial + blockIdx.x * columns + p * stride;
            const int count = width - p * stride;
            if (blockDim.y == 1)
            {
                if (own >= count) continue;
                Raw<T, N> raw;
                UNROLL for (int k = 0; k < 4; k++) raw.words[k] = best[p][k];
                put<N>(to + own, unpack(raw), aligned(partial) && columns % N == 0, count - own);
            }
            else
                join_columns<T>(best[p], joined, [=](int column, u32 word, int k)
                {
                    if (column < count) to[column] = element<T>(word, k);
                });
        }
    }
}

template <typename F, bool COLUMNS, typename T>
DEVICE void cast_rows(const T* x, i64 rows, i64 columns, int power_of_two, u8* y, float* scale, float* inverse, float* parts, T* partial)
{
    if (aligned(x) && aligned(y) && columns % lanes_of<T>() == 0) cast_rows<F, COLUMNS, true>(x, rows, columns, power_of_two, y, scale, inverse, parts, partial);
    else cast_rows<F, COLUMNS, false>(x, rows, columns, power_of_two, y, scale, inverse, parts, partial);
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
