// The 64 x 64 tile through which a matrix is transposed: read along rows in 16-byte accesses, written along columns in 16-byte accesses. 256 threads.
#pragma once
#include "types.cuh"

constexpr int tile_side = 64, tile_threads = 256;

// A row of bytes in shared memory is one word longer than the tile, so that neighbouring rows start in different banks.
constexpr int byte_pitch = tile_side + 4;

// In the second half of the work a thread owns 16 rows of one column; four neighbouring threads write 64 neighbouring bytes.
DEVICE int tile_column() { return threadIdx.x / 4; }
DEVICE int tile_first_row() { return threadIdx.x % 4 * 16; }
