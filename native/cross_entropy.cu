// Cross-entropy of rows: loss = logsumexp(row) - row[label], and where it is wanted the gradient (softmax(row) - one-hot) * factor, in place of the logits or beside
// them. In fp32; no fp32 copy of the logits is made. One block for a row at a time: with a block to a multiprocessor, the rows of the largest vocabularies that are under
// way fit into the L2 cache, which the second reading comes from.
#include "rows.cuh"

constexpr i64 ignored_label = -100;

constexpr float log2_e = 1.4426950408889634f;

// e^x for x <= 0.
DEVICE float exponential(float x) { return exp2f(x * log2_e); }

// A maximum, and the sum of e^(x - maximum) in N parts that do not wait for each other.
template <int N> struct Online
{
    // The largest negative number, not infinity, is below all: inf - inf is NaN.
    float maximum = -3.402823466e38f, sums[N] = {};

    DEVICE float sum() const
    {
        float all = sums[0];
        for (int k = 1; k < N; k++) all += sums[k];
        return all;
    }
};

// Takes in K packs, those of them that lie in the row, `step` apart; the sums are rescaled where the maximum grows.
template <bool Whole, int K, typename T, int N> DEVICE void include(Online<N>& state, const Raw<T, N> (&packs)[K], i64 first, i64 step, i64 classes)
{
    float x[K][N], maximum = state.maximum;
    UNROLL for (int p = 0; p < K; p++) widen_all(packs[p], x[p]);
    UNROLL for (int p = 0; p < K; p++)
        UNROLL for (int k = 0; k < N; k++)
            if (first + p * step + (Whole ? 0 : k) < classes) maximum = Max::of(x[p][k], maximum);

    if (maximum > state.maximum)
    {
        const float scale = exponential(state.maximum - maximum);
        UNROLL for (int k = 0; k < N; k++) state.sums[k] *= scale;
        state.maximum = maximum;
    }

    UNROLL for (int p = 0; p < K; p++)
        UNROLL for (int k = 0; k < N; k++)
            if (first + p * step + (Whole ? 0 : k) < classes) state.sums[k] += exponential(x[p][k] - maximum);
}

// The rounded gradient of N logits, times the factor and rounded again; NaN if the normaliser is. `label` counts from the first of them.
template <typename T, int N> DEVICE Raw<T, N> gradient(const Raw<T, N>& x, float normaliser, i64 label, float factor)
{
    float p[N];
    widen_all(x, p);
    UNROLL for (int k = 0; k < N; k++) p[k] = exponential(p[k] - normaliser);
    if (label >= 0 && label < N)
        UNROLL for (int k = 0; k < N; k++) p[k] -= k == (int)label ? 1.0f : 0.0f;

    widen_all(narrow_all<T, N>(p), p);
    UNROLL for (int k = 0; k < N; k++) p[k] *= factor;
    return narrow_all<T, N>(p);
}

template <bool Whole, typename T>
DEVICE u32 cross_entropy(const T* logits, const i64* labels, i64 rows, i64 classes, float factor, float* loss, T* to, float* shared)
{
    constexpr int N = lanes_of<T>(), K = 4;
    const i64 step = (i64)blockDim.x * N, first = threadIdx.x * N;
    u32 magnitudes = 0;
    for (i64 row = blockIdx.x; row < rows; row += gridDim.x)
    {
        const T* at = logits + row * classes;
        const i64 label = labels[row];
        if (label == ignored_label)
        {
            if (threadIdx.x == 0) loss[row] = 0.0f;
            for (i64 c = first; to && c < classes; c += step) put(to + row * classes + c, Raw<T, N> {}, Whole, classes - c);
            continue;
        }

        Online<N> state;
        for (i64 c = first; c < classes; c += K * step)
        {
            Raw<T, N> packs[K] = {};
            UNROLL for (int p = 0; p < K; p++)
                if (c + p * step < classes) packs[p] = fetch<N>(at + c + p * step, Whole, classes - c - p * step);

            include<Whole>(state, packs, c, step, classes);
        }

        const float top = reduce_block<Max>(state.maximum, shared);
        const float sum = reduce_block<Sum>(state.sum() * exponential(state.maximum - top), shared);
        const bool known = label >= 0 && label < classes;
        const float normaliser = known ? top + logf(sum) : __uint_as_float(0x7fc00000u);
        if (threadIdx.x == 0) loss[row] = known ? normaliser - widen(at[label]) : normaliser;
        if (!to) continue;
        __syncthreads();  // the label's logit has been read

        for (i64 c = first; c < classes; c += K * step)
        {
            Raw<T, N> packs[K] = {};
            UNROLL for (int p = 0; p < K; p++)
                if (c + p * step < classes) packs[p] = fetch<N>(at + c + p * step, Whole, classes - c - p * step);

            UNROLL for (int p = 0; p < K; p++)
            {
                const i64 here = c + p * step;
                if (here >= classes) continue;
                const Raw<T, N> result = gradient(packs[p], normaliser, label - here, factor);
                put(to + row * classes + here, result, Whole, classes - here);
                if (Whole) magnitudes = largest(magnitudes, result);
                else
                    // Beyond the row there is the probability of zeros.
                    for (int k = 0; k < N && here + k < classes; k++) magnitudes = Max::of(magnitudes, magnitude(unpack(result).at[k]));
            }
        }
    }

    return magnitudes;
}

// logits [R, V], labels [R] -> loss [R], gradient [R, V] (may be logits, or null), amax [blocks] or null. An ignored row has loss 0 and gradient 0; a label outside
// 0..V-1 has loss and gradient NaN.
template <typename T> DEVICE void cross_entropy(const T* logits, const i64* labels, i64 rows, i64 classes, float factor, float* loss, T* gradient, float* amax)
{
    __shared__ float shared[32];
    const bool whole = aligned(logits) && aligned(gradient) && classes % lanes_of<T>() == 0;
    leave_amax(
        whole ? cross_entropy<true>(logits, labels, rows, classes, factor, loss, gradient, shared)
              : cross_entropy<false>(logits, labels, rows, classes, factor, loss, gradient, shared),
        amax);
}

KERNEL_OF(1024, 1) cross_entropy_bf16(const bf16* logits, const i64* labels, i64 rows, i64 classes, float factor, float* loss, bf16* gradient, float* amax)
{
    cross_entropy(logits, labels, rows, classes, factor, loss, gradient, amax);
}

KERNEL_OF(1024, 1) cross_entropy_f32(const float* logits, const i64* labels, i64 rows, i64 classes, float factor, float* loss, float* gradient, float* amax)
{
    cross_entropy(logits, labels, rows, classes, factor, loss, gradient, amax);
}
