// Cross-entropy of rows: loss = logsumexp(row) - row[label], and where it is wanted the gradient (softmax(row) - one-hot) * factor, in place of the logits or beside
// them. In fp32; no fp32 copy of the logits is made. One block for a row at a time. A row lies on the multiprocessor between its two readings: in shared memory, where the next
// row comes in as this one goes out, and in registers; what does not fit there is read again, from the L2 cache.
#include "rows.cuh"
#include "stage.cuh"

constexpr i64 ignored_label = -100;

constexpr float log2_e = 1.4426950408889634f;

// Pieces of a row that a thread keeps in registers, beside those in shared memory, which come in as many groups.
constexpr int kept_pieces = 2, groups = 4;

// e^x for x <= 0; what is below the smallest normal number is 0.
DEVICE float exponential(float x)
{
#ifdef TITAN_EMULATION
    return exp2f(x * log2_e);
#else
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x * log2_e));
    return y;
#endif
}

// A maximum, and the sum of e^(x - maximum) in N parts that do not wait for each other.
template <int N> struct Online
{
    // The largest negative number, not infinity, is below all: inf - inf is NaN.
    float maximum = -3.402823466e38f, sums[N] = {};

    DEVICE float sum() const
    {
        float all = sums[0];
        UNROLL for (int k = 1; k < N; k++) all += sums[k];
        return all;
    }
};

// Takes in the first `count` elements of a pack; the sums are rescaled where the maximum grows.
template <bool Whole, typename T, int N> DEVICE void include(Online<N>& state, const Raw<T, N>& pack, i64 count)
{
    float x[N], maximum = state.maximum;
    widen_all(pack, x);
    UNROLL for (int k = 0; k < N; k++)
        if (Whole || k < count) maximum = Max::of(x[k], maximum);

    if (maximum > state.maximum)
    {
        const float scale = exponential(state.maximum - maximum);
        UNROLL for (int k = 0; k < N; k++) state.sums[k] *= scale;
        state.maximum = maximum;
    }

    UNROLL for (int k = 0; k < N; k++)
        if (Whole || k < count) state.sums[k] += exponential(x[k] - maximum);
}

// The rounded gradient of N logits, times the factor and rounded again; NaN if the normaliser is. `label` counts from the first of them.
template <typename T, int N> DEVICE Raw<T, N> gradient(const Raw<T, N>& x, float normaliser, int label, float factor)
{
    float p[N];
    widen_all(x, p);
    UNROLL for (int k = 0; k < N; k++) p[k] = exponential(p[k] - normaliser);
    if ((u32)label < (u32)N)
        UNROLL for (int k = 0; k < N; k++) p[k] -= k == label ? 1.0f : 0.0f;

    widen_all(narrow_all<T, N>(p), p);
    UNROLL for (int k = 0; k < N; k++) p[k] *= factor;
    return narrow_all<T, N>(p);
}

// The logarithm of a row's sum of exponentials, from the threads' parts. The warps' parts go through one of two halves of `shared`, in turn: a half is written again only after all have
// passed the other one's barrier.
template <int N> DEVICE float normaliser_of(const Online<N>& state, float (&shared)[2][2][32], int turn)
{
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    const float own = reduce_warp<Max>(state.maximum), part = reduce_warp<Sum>(state.sum() * exponential(state.maximum - own));
    float(&maxima)[32] = shared[turn & 1][0], (&sums)[32] = shared[turn & 1][1];
    if (lane == 0) maxima[warp] = own, sums[warp] = part;
    __syncthreads();
    const float theirs = lane < warps ? maxima[lane] : own, top = reduce_warp<Max>(theirs);
    return top + logf(reduce_warp<Sum>(lane < warps ? sums[lane] * exponential(theirs - top) : 0.0f));
}

// A label that no class has makes loss and gradient NaN.
DEVICE float nan_unless(bool known, float normaliser) { return known ? normaliser : __uint_as_float(0x7fc00000u); }

// Rows that are not made of whole packs are read twice, element by element.
template <typename T>
DEVICE u32 cross_entropy_of_elements(const T* logits, const i64* labels, i64 rows, i64 classes, float factor, float* loss, T* to, float (&shared)[2][2][32])
{
    constexpr int N = lanes_of<T>();
    const i64 step = (i64)blockDim.x * N, first = threadIdx.x * N;
    u32 all = 0;
    int turn = 0;
    for (i64 row = blockIdx.x; row < rows; row += gridDim.x)
    {
        const T* at = logits + row * classes;
        const i64 label = labels[row];
        if (label == ignored_label)
        {
            if (threadIdx.x == 0) loss[row] = 0.0f;
            for (i64 c = first; to && c < classes; c += step) put(to + row * classes + c, Raw<T, N> {}, false, classes - c);
            continue;
        }

        const bool known = label >= 0 && label < classes;
        const float own = threadIdx.x == 0 && known ? widen(at[label]) : 0.0f;
        Online<N> state;
        for (i64 c = first; c < classes; c += step) include<false>(state, fetch<N>(at + c, false, classes - c), classes - c);
        const float normaliser = nan_unless(known, normaliser_of(state, shared, turn++));
        if (threadIdx.x == 0) loss[row] = normaliser - own;
        for (i64 c = first; to && c < classes; c += step)
        {
            Raw<T, N> result = gradient(fetch<N>(at + c, false, classes - c), normaliser, known ? (int)(label - c) : -1, factor);
            put(to + row * classes + c, result, false, classes - c);
            // Beyond the row there is the probability of zeros.
            Pack<T, N> pack = unpack(result);
            for (int k = 0; k < N && c + k < classes; k++) all = Max::of(all, magnitude(pack.at[k]));
        }
    }

    return all;
}

// Rows of whole packs. Of a row, the pieces of the first `slots` * threads lie in shared memory as they lie in the row; each thread has every so-many-th. The next ones are in registers.
template <typename T>
DEVICE u32 cross_entropy_of_packs(const T* logits, const i64* labels, i64 rows, i64 classes, int slots, float factor, float* loss, T* to, float (&shared)[2][2][32])
{
    constexpr int N = lanes_of<T>(), K = kept_pieces;
    DYNAMIC_SHARED(memory);
    const int pieces = (int)(classes / N), threads = blockDim.x, thread = threadIdx.x;
    // A group's pieces, and the end of those in shared memory.
    const int share = (slots + groups - 1) / groups * threads, staged = slots * threads < pieces ? slots * threads : pieces;
    const Place stage(memory);
    const auto stop = [=](int group) { return (group + 1) * share < staged ? (group + 1) * share : staged; };
    // Beyond the last row nothing is wanted.
    const auto label_of = [=](i64 row) { return row < rows ? labels[row] : ignored_label; };
    const auto bring = [=](i64 row, bool comes)
    {
        for (int g = 0; g < groups; g++)
        {
            for (int i = g * share + thread; comes && i < stop(g); i += threads) stage_piece(stage + i, logits + row * classes + (i64)i * N);
            end_group();
        }
    };
    u32 all = 0;
    int turn = 0;
    i64 given = label_of(blockIdx.x), then = given;
    bring(blockIdx.x, given != ignored_label);
    for (i64 row = blockIdx.x; row < rows; row += gridDim.x)
    {
        // What comes next takes the place of what has been used.
        const i64 coming = row + gridDim.x;
        given = then;
        then = label_of(coming);
        const bool comes = then != ignored_label;
        const T *at = logits + row * classes, *next = logits + coming * classes;
        T* result = to + row * classes;
        if (given == ignored_label)
        {
            if (thread == 0) loss[row] = 0.0f;
            for (int i = thread; to && i < pieces; i += threads) put(result + (i64)i * N, Raw<T, N> {}, true, N);
            bring(coming, comes);
            continue;
        }

        // -1 for a label that no class has.
        const int label = given >= 0 && given < classes ? (int)given : -1;
        Raw<T, N> kept[K];
        UNROLL for (int k = 0; k < K; k++)
        {
            const int i = (slots + k) * threads + thread;
            if (i < pieces) kept[k] = fetch<N>(at + (i64)i * N, true, N);
        }

        const float own = thread == 0 && label >= 0 ? widen(at[label]) : 0.0f;
        Online<N> state;
        for (int g = 0; g < groups; g++)
        {
            // One group ends for each that is awaited, so that always all but the last three have come.
            await_groups<groups - 1>();
            int i = g * share + thread;
            Place place = stage + i;
            const T* from = next + (i64)i * N;
            UNROLL_2 for (; i < stop(g); i += threads, place += threads, from += threads * N)
            {
                include<true>(state, arrived<N, T>(place), N);
                if (!to && comes) stage_piece(place, from);
            }

            end_group();
        }

        UNROLL for (int k = 0; k < K; k++)
            if ((slots + k) * threads + thread < pieces) include<true>(state, kept[k], N);
        for (int i = (slots + K) * threads + thread; i < pieces; i += threads) include<true>(state, fetch<N>(at + (i64)i * N, true, N), N);

        const float normaliser = nan_unless(label >= 0, normaliser_of(state, shared, turn++));
        if (thread == 0) loss[row] = normaliser - own;
        if (!to) continue;
        const auto write = [&](int i, const Raw<T, N>& x)
        {
            const Raw<T, N> y = gradient(x, normaliser, label - i * N, factor);
            put(result + (i64)i * N, y, true, N);
            all = largest(all, y);
        };
        for (int g = 0; g < groups; g++)
        {
            int i = g * share + thread, within = label - i * N;
            Place place = stage + i;
            const T* from = next + (i64)i * N;
            T* y = result + (i64)i * N;
            UNROLL_2 for (; i < stop(g); i += threads, place += threads, from += threads * N, y += threads * N, within -= threads * N)
            {
                const Raw<T, N> pack = gradient(arrived<N, T>(place), normaliser, within, factor);
                if (comes) stage_piece(place, from);
                put(y, pack, true, N);
                all = largest(all, pack);
            }

            end_group();
        }

        UNROLL for (int k = 0; k < K; k++)
            if ((slots + k) * threads + thread < pieces) write((slots + k) * threads + thread, kept[k]);
        for (int i = (slots + K) * threads + thread; i < pieces; i += threads) write(i, fetch<N>(at + (i64)i * N, true, N));
    }

    return all;
}

// logits [R, V], labels [R] -> loss [R], gradient [R, V] (may be logits, or null), amax [blocks] or null. An ignored row has loss 0 and gradient 0; a label outside
// 0..V-1 has loss and gradient NaN. `slots` * 16 bytes of shared memory for each thread.
template <typename T> DEVICE void cross_entropy(const T* logits, const i64* labels, i64 rows, i64 classes, int slots, float factor, float* loss, T* gradient, float* amax)
{
    __shared__ float shared[2][2][32];
    const bool whole = aligned(logits) && aligned(gradient) && classes % lanes_of<T>() == 0;
    if (whole) leave_amax<T>(cross_entropy_of_packs(logits, labels, rows, classes, slots, factor, loss, gradient, shared), amax);
    else leave_amax<float>(cross_entropy_of_elements(logits, labels, rows, classes, factor, loss, gradient, shared), amax);
}

KERNEL_OF(1024, 1) cross_entropy_bf16(const bf16* logits, const i64* labels, i64 rows, i64 classes, int slots, float factor, float* loss, bf16* gradient, float* amax)
{
    cross_entropy(logits, labels, rows, classes, slots, factor, loss, gradient, amax);
}

KERNEL_OF(1024, 1) cross_entropy_f32(const float* logits, const i64* labels, i64 rows, i64 classes, int slots, float factor, float* loss, float* gradient, float* amax)
{
    cross_entropy(logits, labels, rows, classes, slots, factor, loss, gradient, amax);
}
