// float8 = encode(x * scale) with a scale for each group of rows and column, written transposed, or both ways in one pass over x; zeros for rows of no group.
#include "cast.cuh"
#include "groups.cuh"

template <int N> struct GroupFactors
{
    const float* scale;
    const int* ends;
    int groups;
    i64 width;
    i64 column = 0, count = 0, begin = 0, end = 0;
    bool is_none = false;
    float own[N];

    DEVICE GroupFactors(const float* s, const int* e, int g, i64 w) : scale(s), ends(e), groups(g), width(w) {}

    // Columns c .. c + n - 1 of the thread's N.
    DEVICE void columns(i64 c, i64 n)
    {
        column = c;
        count = n;
        begin = end = 0;
    }

    DEVICE void row(i64 r)
    {
        if (r >= begin && r < end) return;
        const int group = group_of(ends, groups, r);
        is_none = group == groups;
        begin = group == 0 ? 0 : ends[group - 1];
        end = is_none ? r + 1 : ends[group];
        UNROLL for (int k = 0; k < N; k++) own[k] = k < count && !is_none ? scale[group * width + column + k] : 0.0f;
    }

    DEVICE bool covers() const { return !is_none; }
    DEVICE float operator()(int k) const { return own[k]; }
};

// x [R, C], scale [groups, C] -> y [R, C] (not written where null) and yt [C, R].
template <typename F, typename T> DEVICE void cast_groups(const T* x, const float* scale, const int* ends, int groups, i64 rows, i64 columns, u8* y, u8* yt)
{
    __shared__ __align__(16) u32 tile[tile_words];
    cast_tiles<F, false>(x, GroupFactors<lanes_of<T>()>(scale, ends, groups, columns), rows, columns, y, yt, tile);
}

#define CAST(T, F, NAME)                                                                                                                       \
    KERNEL_OF(tile_threads, 3) NAME(const T* x, const float* scale, const int* ends, int groups, i64 rows, i64 columns, u8* y, u8* yt) \
    {                                                                                                                                          \
        cast_groups<F>(x, scale, ends, groups, rows, columns, y, yt);                                                                          \
    }
CAST(bf16, E4m3, cast_groups_bf16_e4m3)
CAST(bf16, E5m2, cast_groups_bf16_e5m2)
CAST(float, E4m3, cast_groups_f32_e4m3)
CAST(float, E5m2, cast_groups_f32_e5m2)
#undef CAST
