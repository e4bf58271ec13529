// Rows that are divided into consecutive groups: ends [groups] never decreases, rows from the last end on belong to none.
#pragma once
#include "types.cuh"

// The group of a row, the first that ends beyond it; `groups` for none.
DEVICE int group_of(const int* ends, int groups, i64 row)
{
    int low = 0, high = groups;
    while (low < high)
    {
        const int middle = (low + high) / 2;
        if (ends[middle] > row) high = middle;
        else low = middle + 1;
    }

    return low;
}
