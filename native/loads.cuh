// How many 16-byte loads a thread has under way: with fewer, it is their latency that limits, not the memory's bandwidth.
#pragma once
#include "access.cuh"

constexpr int loads = 4;
