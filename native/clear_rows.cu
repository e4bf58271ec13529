// Zeros in the rows of no group, which a grouped product leaves as they were in memory. Other rows are not touched.
#include "types.cuh"

// x [rows, columns], in words of four bytes or elements of two.
template <typename T> DEVICE void clear_rows(T* x, const int* ends, int groups, i64 rows, i64 columns)
{
    const i64 begin = groups == 0 ? 0 : ends[groups - 1], count = (rows - begin) * columns;
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += (i64)gridDim.x * blockDim.x) x[begin * columns + i] = T {};
}

KERNEL clear_rows_bf16(bf16* x, const int* ends, int groups, i64 rows, i64 columns) { clear_rows(x, ends, groups, rows, columns); }
KERNEL clear_rows_f32(float* x, const int* ends, int groups, i64 rows, i64 columns) { clear_rows(x, ends, groups, rows, columns); }
