// Cross-entropy of a chunk of rows and, in place of the logits, its gradient: loss = logsumexp(row) - row[label], gradient = (softmax(row) - one-hot) * factor.
// In fp32; no fp32 copy of the logits is made. One block per row.
#include "reduce.cuh"

constexpr i64 ignored_label = -100;

// logits [R, V] in, gradient out; labels [R] -> loss [R]. An ignored row has loss 0 and gradient 0; a label outside 0..V-1 has loss and gradient NaN.
template <typename T> DEVICE void cross_entropy(T* logits, const i64* labels, i64 rows, i64 classes, float factor, float* loss)
{
    constexpr int N = lanes_of<T>();
    __shared__ float shared[32];
    const bool whole = aligned(logits) && classes % N == 0;
    for (i64 row = blockIdx.x; row < rows; row += gridDim.x)
    {
        T* at = logits + row * classes;
        const i64 label = labels[row];
        const bool ignored = label == ignored_label, known = label >= 0 && label < classes;

        // One pass for maximum and sum: the sum is rescaled whenever the maximum grows. The largest negative number, not infinity, is below all: inf - inf is NaN.
        float maximum = -3.402823466e38f, sum = 0.0f;
        for (i64 c = threadIdx.x * N; c < classes; c += (i64)blockDim.x * N)
        {
            const Pack<T, N> pack = load<N>(at + c, whole, classes - c);
            for (int k = 0; k < N && c + k < classes; k++)
            {
                const float x = widen(pack.at[k]);
                if (x > maximum)
                {
                    sum = sum * expf(maximum - x) + 1.0f;
                    maximum = x;
                }
                else sum += expf(x - maximum);
            }
        }

        const float top = reduce_block<Max>(maximum, shared);
        sum = reduce_block<Sum>(maximum == top ? sum : sum * expf(maximum - top), shared);
        const float normaliser = top + logf(sum);
        if (threadIdx.x == 0)
            loss[row] = ignored ? 0.0f : known ? normaliser - widen(at[label]) : __uint_as_float(0x7fc00000u);
        __syncthreads();  // the label's logit has been read

        for (i64 c = threadIdx.x * N; c < classes; c += (i64)blockDim.x * N)
        {
            Pack<T, N> pack = load<N>(at + c, whole, classes - c);
            for (int k = 0; k < N; k++)
            {
                const float p = expf(widen(pack.at[k]) - normaliser) - (c + k == label ? 1.0f : 0.0f);
                pack.at[k] = narrow<T>(ignored ? 0.0f : known ? p * factor : __uint_as_float(0x7fc00000u));
            }

            store<N>(at + c, pack, whole, classes - c);
        }
    }
}

KERNEL cross_entropy_bf16(bf16* logits, const i64* labels, i64 rows, i64 classes, float factor, float* loss)
{
    cross_entropy(logits, labels, rows, classes, factor, loss);
}

KERNEL cross_entropy_f32(float* logits, const i64* labels, i64 rows, i64 classes, float factor, float* loss)
{
    cross_entropy(logits, labels, rows, classes, factor, loss);
}
