// The scale of a microscaling block (OCP MX): 32 elements share one power of two, a byte e that means 2^(e - 127), 255 for NaN.
#pragma once
#include "float8.cuh"
#include "magnitudes.cuh"
#include "reduce.cuh"

// How the byte is chosen from the block's amax. The host passes these numbers.
enum MxMode { mx_floor = 0, mx_rceil = 1, mx_ceil = 2, mx_even = 3 };

// amax as fp32 bits -> scale byte. A block that holds infinity or NaN (EVEN: whose rounded amax is infinity) becomes NaN as a whole.
template <typename F> DEVICE u32 mx_scale(u32 amax, int mode)
{
    if (mode == mx_rceil)
    {
        // The smallest power of two that is at least amax / max; a product with the rounded reciprocal, as the reference and the hardware do it.
        const u32 d = __float_as_uint(times(__uint_as_float(amax), __uint_as_float(F::inverse_max)));
        const u32 e = d >> 23, m = d & 0x7fffffu;
        if (e == 255u) return 255u;
        return (e == 0u ? m > 0x400000u : m != 0u) ? e + 1u : e;
    }

    if (amax >= 0x7f800000u) return 255u;
    // EVEN: round to the format's mantissa first, ties up into the exponent.
    if (mode == mx_even) amax = (amax + (1u << (23 - F::mantissa_bits - 1))) & 0xff800000u;
    if (amax >= 0x7f800000u) return 255u;
    const int e = (int)(amax >> 23) + (mode == mx_ceil && (amax & 0x7fffffu) != 0u ? 1 : 0) - F::max_exponent;
    return (u32)(e < 0 ? 0 : e);
}

// 2^(127 - e), which the elements are multiplied by; NaN for byte 255.
DEVICE float mx_reciprocal(u32 e)
{
    return __uint_as_float(e == 255u ? 0x7fc00000u : e == 254u ? 0x00400000u : (254u - e) << 23);
}

// 2^(e - 127), what a block's elements stand for times; NaN for byte 255.
DEVICE float mx_value(u32 e) { return __uint_as_float(e == 255u ? 0x7fc00000u : e == 0u ? 0x00400000u : e << 23); }

// Where the scale of (row, block) lies as the block-scaled tensor core matmul reads it: tiles of 128 rows x 4 blocks, in each tile 32 lines of 16 bytes, in each line 4 groups of rows
// that are 32 apart. Plain, it is [rows, blocks].
DEVICE i64 mx_swizzled(u32 row, u32 block, i64 blocks)
{
    return ((row / 128) * ((blocks + 3) / 4) + block / 4) * 512 + row % 32 * 16 + row % 128 / 32 * 4 + block % 4;
}

// Blocks that several threads hold, each a part of each: every thread joins one block and makes its scale, and all get the reciprocals of all. The M threads' lanes are `apart` from each
// other; i is a thread's number among them.

// The largest of all threads' at[i].
template <int M> DEVICE u32 join_parts(u32 (&at)[M], int i, int apart)
{
    UNROLL for (int half = M / 2; half > 0; half >>= 1)
    {
        const bool upper = (i & half) != 0;
        UNROLL for (int k = 0; k < half; k++)
        {
            const u32 given = upper ? at[k] : at[k + half], kept = upper ? at[k + half] : at[k];
            at[k] = Max::of(kept, __shfl_xor_sync(0xffffffffu, given, half * apart));
        }
    }

    return at[0];
}

// The same of words of magnitudes, one of each column: the largest of all threads' column i, as fp32 bits. There are as many threads as columns.
template <typename T> DEVICE u32 join_columns_of_words(u32 (&words)[4], int i, int apart)
{
    constexpr int each = 4 / (int)sizeof(T);
    UNROLL for (int half = 2; half > 0; half >>= 1)
    {
        const bool upper = (i & half * each) != 0;
        UNROLL for (int k = 0; k < half; k++)
        {
            const u32 given = upper ? words[k] : words[k + half], kept = upper ? words[k + half] : words[k];
            words[k] = larger<T>(kept, __shfl_xor_sync(0xffffffffu, given, half * each * apart));
        }
    }

    if (each == 1) return words[0];
    words[0] = larger<T>(words[0], __shfl_xor_sync(0xffffffffu, words[0], apart));
    return i % 2 == 0 ? words[0] << 16 : words[0] & 0xffff0000u;
}

// The reciprocals of the M threads' scales, each a power of two or NaN and so whole in 16 bits: two to a word.
template <int M> struct Reciprocals
{
    u32 words[M / 2];

    DEVICE Reciprocals(u32 scale, int i, int apart)
    {
        const u32 own = __float_as_uint(mx_reciprocal(scale)) >> 16, other = __shfl_xor_sync(0xffffffffu, own, apart);
        words[0] = i % 2 == 0 ? other << 16 | own : own << 16 | other;
        UNROLL for (int have = 1; have < M / 2; have *= 2)
        {
            const bool upper = (i & 2 * have) != 0;
            UNROLL for (int k = 0; k < have; k++)
            {
                const u32 mine = words[k], theirs = __shfl_xor_sync(0xffffffffu, mine, 2 * have * apart);
                words[k] = upper ? theirs : mine;
                words[k + have] = upper ? mine : theirs;
            }
        }
    }

    DEVICE float operator()(int k) const { return __uint_as_float(k % 2 == 0 ? words[k / 2] << 16 : words[k / 2] & 0xffff0000u); }
};
