// A step of Adam or AdamW on fp32 in one pass, as ATen's fused kernel computes it: products with the optimizer's numbers in fp64, each result rounded to fp32. The pass has the new weights at hand, so it leaves their amax.
#include "rows.cuh"

// The optimizer's numbers. decay: lr * weight_decay of AdamW, taken off the weight, else 0; l2: Adam's weight_decay, added to the gradient, else 0. rate = lr / (1 - beta1^step), root = sqrt(1 - beta2^step).
struct Numbers { double decay, l2, beta1, beta2, epsilon; float rate, root; };

DEVICE float step(float p, float g, float& m, float& v, const Numbers& n)
{
    if (n.l2 != 0.0) g = (float)(g + p * n.l2);
    if (n.decay != 0.0) p = (float)(p - n.decay * p);
    m = (float)(n.beta1 * m + (1.0 - n.beta1) * g);
    v = (float)(n.beta2 * v + (1.0 - n.beta2) * g * g);
    const float below = (float)(sqrtf(v) / n.root + n.epsilon);
    return p - n.rate * m / below;
}

DEVICE u32 step_pack(float* p, const float* g, float* m, float* v, bool all, i64 count, const Numbers& n, u32 magnitudes)
{
    const Raw<float, 4> raw_p = fetch<4>(p, all, count), raw_g = fetch<4>(g, all, count), raw_m = fetch<4>(m, all, count), raw_v = fetch<4>(v, all, count);
    float weight[4], gradient[4], average[4], square[4];
    widen_all(raw_p, weight);
    widen_all(raw_g, gradient);
    widen_all(raw_m, average);
    widen_all(raw_v, square);
    UNROLL for (int k = 0; k < 4; k++) weight[k] = step(weight[k], gradient[k], average[k], square[k], n);
    const Raw<float, 4> result = narrow_all<float, 4>(weight);
    put(p, result, all, count);
    put(m, narrow_all<float, 4>(average), all, count);
    put(v, narrow_all<float, 4>(square), all, count);
    return largest(magnitudes, result);
}

// p, g, m, v [count]: weights, their gradients, means of gradients and of their squares; p, m and v are written in place. amax [blocks] or null, of the new weights.
KERNEL adamw_f32(
    float* p, const float* g, float* m, float* v, i64 count, double decay, double l2, double beta1, double beta2, double epsilon, float rate, float root, float* amax)
{
    const Numbers n = { decay, l2, beta1, beta2, epsilon, rate, root };
    const bool whole = aligned(p) && aligned(g) && aligned(m) && aligned(v);
    const i64 stride = (i64)gridDim.x * blockDim.x * 4;
    u32 magnitudes = 0;
    for (i64 i = ((i64)blockIdx.x * blockDim.x + threadIdx.x) * 4; i < count; i += stride)
        magnitudes = step_pack(p + i, g + i, m + i, v + i, whole && i + 4 <= count, count - i, n, magnitudes);

    leave_amax<float>(magnitudes, amax);
}
